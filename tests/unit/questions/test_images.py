"""Pictures: decoded to RGB, or an error that names the file."""

import os
import struct
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hipp_prune.errors import ImageError
from hipp_prune.questions import images
from hipp_prune.questions.images import check_images, read_image, turned
from hipp_prune.questions.question import Question
from hipp_prune.questions.records import SkipBad, warn


def picture(path: Path, mode: str = "RGB") -> Path:
    noise = Image.effect_noise((64, 48), 80).convert(mode)
    noise.save(path)
    return path


def asking(name: str, image: Path | None) -> Question:
    return Question(
        benchmark="pope",
        id=name,
        prompt="Is there a cup?",
        images=(image,) if image else (),
        answers=("Yes", "No"),
        gold=0,
        subset="random",
        group=str(image),
    )


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "1"])
def test_any_mode_is_read_as_rgb(tmp_path: Path, mode: str) -> None:
    image = read_image(picture(tmp_path / "a.png", mode))
    assert (image.mode, image.size) == ("RGB", (64, 48))


def test_a_palette_with_transparency_is_read_without_a_warning(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("P", (4, 4)).save(path, transparency=bytes([0, 128, 255]))
    assert read_image(path).mode == "RGB"


RAMP = np.linspace(0.0, 1.0, 256).reshape(16, 16)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sixteen.png", (RAMP * 65535).astype(np.uint16)),
        ("sixteen.tif", (RAMP * 65535).astype(np.uint16)),
        ("integer.tif", (RAMP * 65535).astype(np.int32)),
        ("eight-bits-in-32.tif", np.rint(RAMP * 255).astype(np.int32)),
        ("float.tif", RAMP.astype(np.float32)),
    ],
)
def test_grey_values_of_more_than_eight_bits_keep_their_contrast(
    tmp_path: Path, name: str, values: np.ndarray
) -> None:
    Image.fromarray(values).save(tmp_path / name)
    read = np.asarray(read_image(tmp_path / name))
    assert read.shape == (16, 16, 3)
    np.testing.assert_allclose(read, np.rint(255 * RAMP)[..., None].repeat(3, axis=2), atol=1)


@pytest.mark.parametrize("name", ["dark.png", "dark.tif"])
def test_sixteen_bits_are_believed_though_all_values_fit_in_eight(tmp_path: Path, name: str) -> None:
    Image.fromarray(np.rint(RAMP * 255).astype(np.uint16)).save(tmp_path / name)
    assert np.asarray(read_image(tmp_path / name)).max() == 1


@pytest.mark.parametrize("values", [RAMP * 255, RAMP * 300, RAMP - 0.5, np.full((4, 4), np.nan)])
def test_floats_on_no_known_scale_are_refused(tmp_path: Path, values: np.ndarray) -> None:
    Image.fromarray(values.astype(np.float32)).save(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif: expected grey values in \[0, 1\]"):
        read_image(tmp_path / "a.tif")


def test_colours_of_sixteen_bits_keep_their_contrast(tmp_path: Path) -> None:
    values = np.stack([RAMP, RAMP[::-1], RAMP.T], axis=2)
    path = tmp_path / "a.png"
    path.write_bytes(_png_of_16_bits((values * 65535).astype(">u2")))
    np.testing.assert_allclose(np.asarray(read_image(path)), np.rint(255 * values), atol=1)


def _png_of_16_bits(values: np.ndarray) -> bytes:
    """A PNG of [height, width, 3] big-endian values, which Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    height, width, _ = values.shape
    rows = b"".join(b"\0" + row.tobytes() for row in values)
    header = struct.pack(">IIBBBBB", width, height, 16, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def test_grey_with_transparency_and_single_bits_keep_their_colours(tmp_path: Path) -> None:
    grey = np.rint(255 * RAMP).astype(np.uint8)
    Image.fromarray(np.stack([grey, grey], axis=2), "LA").save(tmp_path / "la.png")
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "la.png"))[..., 0], grey)
    bits = RAMP > 0.5
    Image.fromarray(bits).save(tmp_path / "bits.png")
    np.testing.assert_array_equal(np.asarray(read_image(tmp_path / "bits.png"))[..., 0], 255 * bits)


def test_a_printer_s_jpeg_keeps_its_colours_and_an_exif_rotation_is_not_applied(tmp_path: Path) -> None:
    Image.new("RGB", (16, 8), (200, 30, 40)).convert("CMYK").save(tmp_path / "cmyk.jpg")
    colour = np.asarray(read_image(tmp_path / "cmyk.jpg"))[4, 8].astype(int)
    np.testing.assert_allclose(colour, (200, 30, 40), atol=8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (16, 8)).save(tmp_path / "turned.jpg", exif=exif)
    assert read_image(tmp_path / "turned.jpg").size == (16, 8)


def test_a_missing_picture_is_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"absent\.png: expected an image, found nothing"):
        read_image(tmp_path / "absent.png")
    with pytest.raises(ImageError, match="found a folder"):
        read_image(tmp_path)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.bmp"])
@pytest.mark.parametrize("kept", [0.9, 0.5, 0.02, 0.0])
def test_a_truncated_picture_is_named(tmp_path: Path, name: str, kept: float) -> None:
    path = picture(tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ImageError) as caught:
        read_image(path)
    assert str(path) in str(caught.value)


def test_a_name_that_no_file_can_have_is_a_missing_picture(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="expected an image, found File name too long"):
        read_image(tmp_path / ("x" * 1000))


def test_a_text_file_is_no_picture(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_text("<html>404 Not Found</html>")
    with pytest.raises(ImageError, match=r"a\.png: expected an image, found a file of a kind"):
        read_image(path)


@pytest.mark.parametrize(
    "start",
    [b"\0\0\0\x20ftypisom", b"\x1a\x45\xdf\xa3\x9f\x42\x86\x81\1\x42\xf7\x81", b"RIFF\0\0\0\0AVI "],
    ids=str,
)
def test_a_video_is_named_as_one(tmp_path: Path, start: bytes) -> None:
    path = tmp_path / "clip.png"
    path.write_bytes(start + bytes(64))
    with pytest.raises(ImageError, match=r"clip\.png: expected an image, found a video"):
        read_image(path)


@pytest.mark.parametrize("kind", ["gif", "webp", "png"])
def test_a_moving_picture_is_a_video_and_a_still_one_of_its_kind_is_not(tmp_path: Path, kind: str) -> None:
    moving, still = tmp_path / f"moving.{kind}", tmp_path / f"still.{kind}"
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "green", "blue")]
    frames[0].save(moving, save_all=True, append_images=frames[1:], duration=50)
    frames[0].save(still)
    assert read_image(still).size == (8, 8)
    with pytest.raises(ImageError, match="found a moving one of 3 frames; videos are not taken"):
        read_image(moving)


def test_a_second_frame_that_is_no_later_one_is_left_out(tmp_path: Path) -> None:
    """As phones put them behind the picture in JPEG (MPO)."""
    path = tmp_path / "phone.jpg"
    Image.new("RGB", (8, 8), "red").save(path, "MPO", save_all=True, append_images=[Image.new("RGB", (8, 8))])
    assert read_image(path).getpixel((4, 4))[0] > 200


def test_a_question_is_as_good_as_its_worst_picture(tmp_path: Path) -> None:
    good, gone = picture(tmp_path / "a.png"), tmp_path / "gone.png"
    questions = [
        replace(asking("q", good), images=(good, good)),
        replace(asking("r", good), images=(good, gone)),
    ]
    assert check_images(questions, skipped := SkipBad()) == questions[:1]
    assert skipped.count == 1


def test_every_file_is_decoded_once_and_bad_questions_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good, bad = picture(tmp_path / "good.png"), tmp_path / "bad.png"
    bad.write_bytes(good.read_bytes()[:100])
    questions = [asking("1", good), asking("2", bad), asking("3", good), asking("4", bad), asking("5", None)]
    with pytest.raises(ImageError, match=r"question 2: .*bad\.png"):
        check_images(questions)

    read: list[Path] = []

    def counting(path: Path) -> Image.Image:
        read.append(path)
        return read_image(path)

    monkeypatch.setattr(images, "read_image", counting)
    skip_bad = SkipBad()
    assert [question.id for question in check_images(questions, skip_bad)] == ["1", "3", "5"]
    assert skip_bad.count == 2
    assert read == [good, bad]


def test_questions_pass_unchanged(tmp_path: Path) -> None:
    question = asking("1", picture(tmp_path / "a.png"))
    assert check_images([question, replace(question, id="2")])[0] is question


def test_a_pipe_is_no_picture_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.png")
    assert turned([tmp_path / "a.png"]) == []
    with pytest.raises(ImageError, match=r"a\.png"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"<svg/>", "a kind that Pillow does not read"),
        (b"\0\0\0\x18ftypheic" * 9, "a kind"),
    ],
)
def test_what_is_no_picture_is_to_be_saved_as_one(tmp_path: Path, content: bytes, found: str) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=f"expected an image, found .*{found}.*; .*save it as PNG or JPEG"):
        read_image(path)


def test_grey_values_on_no_scale_are_said_once(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    Image.fromarray(np.full((4, 4), np.nan, dtype=np.float32)).save(path)
    with pytest.raises(ImageError) as refused:
        read_image(path)
    assert str(refused.value).startswith(f"{path}: expected grey values in [0, 1], found nan")
    assert str(refused.value).count("expected") == 1


def test_that_only_the_first_of_several_pages_is_asked_about_is_said_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    warn.cache_clear()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    for name in ("a.tiff", "b.tiff"):
        frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:])
        read_image(tmp_path / name)
    assert [said for said in caplog.messages if "several pages" in said] == [
        "warning: some pictures have several pages, of which the first one is asked about"
    ]


def test_a_picture_of_too_many_pixels_is_to_be_made_smaller(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new("1", (100, 100)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ImageError, match=r"exceeds limit.*make it smaller"):
        read_image(tmp_path / "large.png")
