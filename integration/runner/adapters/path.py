"""A path of tcp that is cut while bytes travel: connections are reset, nobody gets through for a while, then it is whole again.

The cuts come after equal shares of the bytes that a transfer carries in one direction, so they meet it however fast it is.
"""

import asyncio
import contextlib
import os
import signal
import socket
import struct

CUT_SECONDS = 0.4
PIECE = 64 << 10
RESET = struct.pack("ii", 1, 0)


class Path:
    def __init__(self, listen, target, cuts, total):
        self.listen = listen
        self.host, _, self.port = target.rpartition(":")
        self.marks = [total * (number + 1) // (cuts + 1) for number in range(cuts)]
        self.carried = 0
        self.writers = set()
        self.listener = None

    async def open(self):
        self.listener = await asyncio.start_server(self.serve, "0.0.0.0", self.listen)

    async def serve(self, reader, writer):
        try:
            far_reader, far_writer = await asyncio.open_connection(self.host, int(self.port))
        except OSError:
            writer.close()
            return
        both = {writer, far_writer}
        for one in both:
            # Closed without a flush, such a socket is reset.
            one.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            one.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.writers |= both
        await asyncio.gather(self.carry(reader, far_writer, counts=True), self.carry(far_reader, writer, counts=False))
        self.writers -= both
        for one in both:
            one.close()

    async def carry(self, reader, writer, counts):
        with contextlib.suppress(OSError):
            while data := await reader.read(PIECE):
                writer.write(data)
                await writer.drain()
                if counts:
                    self.carried += len(data)
                    if self.marks and self.carried >= self.marks[0]:
                        self.marks.pop(0)
                        await self.cut()
            writer.write_eof()

    async def cut(self):
        self.listener.close()
        for writer in self.writers:
            writer.transport.abort()
        print("cut after %d bytes" % self.carried, flush=True)
        await asyncio.sleep(CUT_SECONDS)
        await self.open()
        print("healed", flush=True)


async def main():
    path = Path(int(os.environ["PATH_LISTEN"]), os.environ["PATH_TARGET"], int(os.environ["PATH_CUTS"]), int(os.environ["PATH_BYTES"]))
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await path.open()
    print("READY", flush=True)
    await stop.wait()


asyncio.run(main())
