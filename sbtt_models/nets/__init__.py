"""Torch modules. Import only where a decoder is built."""
