"""Tables of wrong calls: `ROWS` of each file here, a list of rows `(call, argument, values)`.

`call(value)` must raise a `ValueError`, `TypeError` or `OSError` that names the argument, for each value.
`values.py` has the usual wrong values of each kind of argument (`WHOLE`, `FLOATS`, `FLAG`, …).
"""
