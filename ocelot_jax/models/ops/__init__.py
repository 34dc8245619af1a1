"""Convolutions as each backend computes them fastest; arrays in, arrays out."""
