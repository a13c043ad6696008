"""What the implant samples, and what that costs. Torch-free, and no tables or figures either."""
