"""Measurements of a generator that was trained on rendered heads: what its card says.

Each is a plain function of arrays, meshes or a generator. Loads nothing heavy by itself.
"""
