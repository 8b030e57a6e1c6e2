"""A tunnel of two kcptun programs, with their own defaults for FEC and cipher: tcp at one end, tcp at the other."""

from program import listens, run, setting

KCP_PORT = 29900

listen = int(setting("BRIDGE_LISTEN"))
target = setting("BRIDGE_TARGET")
run([["kcptun-server", "--listen", "127.0.0.1:%d" % KCP_PORT, "--target", target],
     ["kcptun-client", "--localaddr", "0.0.0.0:%d" % listen, "--remoteaddr", "127.0.0.1:%d" % KCP_PORT]],
    lambda: listens(listen) and listens(KCP_PORT))
