#!/usr/bin/env python3
"""Subscribes to /ws/anomalies and prints each frame as one line of JSON, until it is ended.

A WebSocket client in Python's standard library alone, so that nothing of the project is on this
side of the wire: watch.py HOST PORT
"""

import base64
import hashlib
import json
import os
import socket
import struct
import sys

SUBPROTOCOL = "barograph.v1"
TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class Connection:
    def __init__(self, host, port):
        self.socket = socket.create_connection((host, port), timeout=60)
        self.stream = self.socket.makefile("rb")
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            (
                f"GET /ws/anomalies HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
                f"Connection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
                f"Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\n\r\n"
            ).encode()
        )
        status = self.stream.readline().decode().strip()
        headers = {}
        while line := self.stream.readline().decode().strip():
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        guid = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
        accept = base64.b64encode(hashlib.sha1((key + guid).encode()).digest()).decode()
        if " 101 " not in status + " " or headers.get("sec-websocket-accept") != accept:
            sys.exit(f"no WebSocket: {status}")
        if headers.get("sec-websocket-protocol") != SUBPROTOCOL:
            sys.exit(f"the subprotocol is not {SUBPROTOCOL}: {headers}")

    def send(self, opcode, payload):
        mask = os.urandom(4)
        size = len(payload)
        length = struct.pack("!B", 0x80 | size) if size < 126 else struct.pack("!BH", 0x80 | 126, size)
        masked = bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))
        self.socket.sendall(struct.pack("!B", 0x80 | opcode) + length + mask + masked)

    def read(self, size):
        data = self.stream.read(size)
        if len(data) < size:
            sys.exit("the connection broke off")
        return data

    def messages(self):
        """Text messages, put together from their frames; pings are answered."""
        text = b""
        while True:
            first, second = self.read(2)
            size = second & 0x7F
            if size == 126:
                (size,) = struct.unpack("!H", self.read(2))
            elif size == 127:
                (size,) = struct.unpack("!Q", self.read(8))
            payload = self.read(size)
            opcode = first & 0x0F
            if opcode == CLOSE:
                sys.exit(f"closed by the server: {payload[2:].decode(errors='replace')}")
            elif opcode == PING:
                self.send(PONG, payload)
            elif opcode != PONG:
                text += payload
                if first & 0x80:
                    yield json.loads(text)
                    text = b""


def main():
    connection = Connection(sys.argv[1], int(sys.argv[2]))
    connection.send(TEXT, json.dumps({"type": "subscribe"}).encode())
    for message in connection.messages():
        if message["type"] == "ping":
            connection.send(TEXT, json.dumps({"type": "pong"}).encode())
        print(json.dumps(message, separators=(",", ":")), flush=True)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
