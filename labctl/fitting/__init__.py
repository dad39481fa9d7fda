"""Measured data and the emission model to components with uncertainties."""
