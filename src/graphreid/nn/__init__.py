"""Networks' parts that methods share: backbones and losses."""
