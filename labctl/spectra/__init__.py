"""Camera frames to spectra: dark, cosmic rays, noise, wavelength to energy."""
