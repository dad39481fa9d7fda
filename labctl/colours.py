"""The colours of figures: the same quantity has the same colour everywhere.

Okabe and Ito's set, told apart with every kind of colour vision.
"""

COUPLED = "#E69F00"
UNCOUPLED = "#56B4E9"
DATA = "#0072B2"
MARK = "#D55E00"
INK = "#222222"
FAINT = "#8a8a8a"
SIGNAL = "#009E73"
