"""spin_model: the checks of one Promela model, each a test of its own (README.md)."""

def spin_model(name, covers = [], holds = {}, always = {}, breaks = {}, reaches = {}):
    """Tests named <name>.<check>; a failing one names one cause. `named` demands that `breaks` leaves no property out.

    Args:
      name: the model is <name>.pml.
      covers: definitions with which each statement of the model is reached, and nothing fails.
      holds: check -> definitions with which nothing fails.
      always: ltl formula -> definitions with which it holds.
      breaks: mutation (-DMUTATION_<mutation>) -> [what fails, and further definitions].
      reaches: point (reach_<point>) -> definitions with which it is reached.
    """
    _check(name, "covers", ["covers"] + covers)
    _check(name, "named", ["named"] + sorted({what[0]: None for what in breaks.values()}.keys()))
    for check, definitions in holds.items():
        _check(name, check, ["holds"] + definitions)
    for formula, definitions in always.items():
        _check(name, formula, ["always", formula] + definitions)
    for mutation, what in breaks.items():
        _check(name, mutation, ["breaks", what[0], "-DMUTATION_" + mutation] + what[1:])
    for point, definitions in reaches.items():
        _check(name, "reach_" + point, ["reaches", "reach_" + point] + definitions)

def _check(model, check, args):
    native.sh_test(
        name = "%s.%s" % (model, check),
        size = "small",
        srcs = ["check.sh"],
        args = ["$(rootpath %s.pml)" % model] + args,
        # What a model includes is beside it.
        data = native.glob(["*.pml"]),
        tags = ["models"],
        timeout = "moderate",
    )
