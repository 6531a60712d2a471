"""The real SmolLM2-135M, where `energyam lm fetch` has brought it; without the file these tests do not exist.

`tests/data/smollm2_logits.npz` holds what `transformers` gave for one text: every 768th logit.
"""
