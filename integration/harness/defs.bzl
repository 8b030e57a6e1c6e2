"""Tests that run wayport's programs.

    load("@wayport//integration/harness:defs.bzl", "wayport_gateway_test")

    wayport_gateway_test(
        name = "my_test",
        srcs = ["my_test.cc"],
        deps = ["@wayport//integration/harness:gateway"],
    )
"""

_GATEWAY = str(Label("//gateway:wayport-gateway"))
_EMULATOR = str(Label("//integration/emulator:wayport-link-emulator"))

def wayport_gateway_test(name, rule = None, emulator = False, data = [], env = {}, **kwargs):
    """A test that finds the gateway program at $WAYPORT_GATEWAY, as a path from its working directory.

    Args:
      rule: cc_test by default; any rule with `data` and `env` that expands $(rootpath ...), such as py_test or sh_test.
      emulator: also the link emulator, at $WAYPORT_LINK_EMULATOR (it needs privileges: integration/emulator/README.md).
      data, env: of the rule; these are added to them.
      **kwargs: the rule's.
    """
    programs = {"WAYPORT_GATEWAY": _GATEWAY}
    if emulator:
        programs["WAYPORT_LINK_EMULATOR"] = _EMULATOR
    all_env = dict(env)
    for variable, label in programs.items():
        if variable in all_env:
            fail("%s: env sets %s, which this macro sets" % (name, variable))
        all_env[variable] = "$(rootpath %s)" % label
    (rule or native.cc_test)(
        name = name,
        data = data + programs.values(),
        env = all_env,
        **kwargs
    )
