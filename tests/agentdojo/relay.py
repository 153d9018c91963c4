"""Copies standard input to a Unix socket and the socket to standard output: the server that the gateway starts is a
connection to the program that plays it. Started with `-S -I`, so that it is there at once."""

import os
import socket
import sys
import threading

connection = socket.socket(socket.AF_UNIX)
connection.connect(sys.argv[1])


def to_server():
    while data := os.read(0, 65536):
        connection.sendall(data)
    connection.shutdown(socket.SHUT_WR)


threading.Thread(target=to_server, daemon=True).start()
while data := connection.recv(65536):
    while data:
        data = data[os.write(1, data) :]
