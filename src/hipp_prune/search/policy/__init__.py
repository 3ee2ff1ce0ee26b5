"""The preference-conditioned policy: state, network, actions and GRPO (Eq. 7–8, 16–18)."""
