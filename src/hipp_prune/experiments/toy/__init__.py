"""The embedded models: two small vision-language models of stock architecture, and how they are trained."""
