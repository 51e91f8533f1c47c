"""Fakes that tests share: each stands for something outside, and only for what a real one cannot be asked."""
