"""Flips: how the energy changes when one ±1 neuron flips, exactly and fast, and the sweeps made of them."""
