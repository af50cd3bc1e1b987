"""One SMB2 connection, driven by JSON lines: commands on stdin, events on stdout.

A command is sent to the server as soon as its line is read, without waiting for earlier ones:

    {"id": 1, "op": "create", "name": "f.doc", "access": ..., ...}
    {"id": 2, "op": "read", "handle": 1, "offset": 0, "length": 65536}
    {"id": 3, "op": "compound", "parts": [{"id": 4, "op": "create", ...}, {"id": 5, "op": "close", "handle": 4}]}
    {"id": 6, "op": "cancel", "of": 1}
    {"id": 7, "op": "tree_disconnect"}
    {"id": 8, "op": "logoff"}
    {"id": 9, "op": "add_channel"}      a second TCP connection of the same session; commands with "channel": 1 use it
    {"id": 10, "op": "add_tree", "share": "t"}   one more tree connect; creates with "tree": 1 use it
    {"op": "kill"}                      drop the TCP connection without a word

A handle is known by the id of the create that opened it. Events:

    {"event": "connected", "port": ...}           our end of the TCP connection
    {"event": "pending", "id": 1}                 the server said STATUS_PENDING
    {"event": "done", "id": 1, "status": ..., "ms": ..., "data": hex, "size": ..., "lease": ..., "durable": ...}
    {"event": "break", ...}                       a lease or oplock break came; a lease break is acknowledged on request
    {"event": "disconnected"}                     all that was outstanding is lost
"""

import json
import struct
import sys
import threading
import time
import uuid
from collections import OrderedDict

import smbprotocol.connection as wire
from smbprotocol.create_contexts import (
    CreateContextName,
    SMB2CreateContextRequest,
    SMB2CreateDurableHandleReconnectV2,
    SMB2CreateDurableHandleRequestV2,
    SMB2CreateRequestLease,
)
from smbprotocol.header import Commands
from smbprotocol.open import Open, SMB2CreateResponse, SMB2ReadResponse
from smbprotocol.session import Session, SMB2Logoff
from smbprotocol.structure import BytesField, IntField, Structure
from smbprotocol.tree import SMB2TreeDisconnect, TreeConnect

STATUS_PENDING = 0x00000103
UNSOLICITED = 0xFFFFFFFFFFFFFFFF
speaking = threading.Lock()


def say(event, **fields):
    with speaking:
        print(json.dumps({"event": event, **fields}), flush=True)


class Watched(wire.Request):
    """A request that reports every response the moment the receiving thread has it."""

    watcher = None
    early = ()

    @property
    def response(self):
        return self._response

    @response.setter
    def response(self, header):
        self._response = header
        if header is None:
            self.lock = threading.Lock()
            return
        with self.lock:
            if self.watcher is None:
                self.early += (header,)
                return
        self.watcher(header)

    def watch(self, watcher):
        # The answer may have come before anybody could ask for it.
        with self.lock:
            self.watcher = watcher
            early = self.early
        for header in early:
            watcher(header)


wire.Request = Watched


class LeaseBreakAcknowledgement(Structure):
    COMMAND = Commands.SMB2_OPLOCK_BREAK

    def __init__(self):
        self.fields = OrderedDict(
            [
                ("structure_size", IntField(size=2, default=36)),
                ("reserved", IntField(size=2)),
                ("flags", IntField(size=4)),
                ("lease_key", BytesField(size=16)),
                ("lease_state", IntField(size=4)),
                ("lease_duration", IntField(size=8)),
            ]
        )
        super().__init__()


class OplockBreakAcknowledgement(Structure):
    COMMAND = Commands.SMB2_OPLOCK_BREAK

    def __init__(self):
        self.fields = OrderedDict(
            [
                ("structure_size", IntField(size=2, default=24)),
                ("oplock_level", IntField(size=1)),
                ("reserved", IntField(size=1)),
                ("reserved2", IntField(size=4)),
                ("file_id", BytesField(size=16)),
            ]
        )
        super().__init__()


class Outstanding(dict):
    """The connection's table of requests, with an entry for what the server sends unasked."""

    def __init__(self, on_break):
        super().__init__()
        self.breaks = Watched({"reserved": IntField(size=4, default=0)}, None, None)
        self.breaks.watch(on_break)

    def __getitem__(self, key):
        return self.breaks if key == UNSOLICITED else super().__getitem__(key)


class Channel(Session):
    """One more connection of a session: its requests to set up the session bind, and are signed with the session's key."""

    def __init__(self, connection, session):
        super().__init__(connection, session.username, session.password, require_encryption=False)
        self.session_id = session.session_id
        connection.session_table[session.session_id] = session
        send = connection.send

        def bind(message, **options):
            message["flags"] = 1
            return send(message, force_signature=True, **options)

        connection.send = bind
        self.connect()
        connection.send = send


class Client:
    def __init__(self, port, share, user, password, guid):
        self.opens = {}
        self.requests = {}
        self.connect = lambda: self.open_connection(uuid.UUID(int=int(guid)), port)
        self.connection = self.connect()
        self.channels = [self.connection]
        self.session = Session(self.connection, user, password, require_encryption=False)
        self.session.connect()
        tree = TreeConnect(self.session, f"\\\\127.0.0.1\\{share}")
        tree.connect()
        self.trees = [tree]
        self.connection.outstanding_requests = Outstanding(self.on_break)
        # Credits for many requests in flight.
        self.connection.echo(self.session.session_id, credit_request=500)
        say("connected", port=self.connection.transport._sock.getsockname()[1])
        threading.Thread(target=self.watch_connection, daemon=True).start()

    def open_connection(self, guid, port):
        connection = wire.Connection(guid, "127.0.0.1", port, require_signing=True)
        connection.client_capabilities |= wire.Capabilities.SMB2_GLOBAL_CAP_MULTI_CHANNEL
        connection.connect()
        return connection

    def add_channel(self, command):
        began = time.monotonic()
        connection = self.connect()
        Channel(connection, self.session).tree_connect_table = self.session.tree_connect_table
        connection.outstanding_requests = Outstanding(self.on_break)
        connection.echo(self.session.session_id, credit_request=500)
        self.channels.append(connection)
        say("done", id=command["id"], status=0, ms=(time.monotonic() - began) * 1000)

    def add_tree(self, command):
        began = time.monotonic()
        tree = TreeConnect(self.session, f"\\\\127.0.0.1\\{command['share']}")
        tree.connect()
        self.trees.append(tree)
        say("done", id=command["id"], status=0, ms=(time.monotonic() - began) * 1000)

    def tree_of(self, command):
        if "handle" in command:
            return self.opens[command["handle"]].tree_connect
        return self.trees[command.get("tree", 0)]

    def watch_connection(self):
        self.connection._t_worker.join()
        say("disconnected")

    def on_break(self, header):
        body = header["data"].get_value()
        fields = {"status": header["status"].get_value(), "lease": None}
        if struct.unpack("<H", body[:2])[0] == 44:
            flags, key, current, new = struct.unpack("<L16sLL", body[4:32])
            fields.update(lease=key.hex(), current=current, new=new, wants_answer=bool(flags & 1))
        else:
            fields.update(new=body[2], file_id=body[8:24].hex(), wants_answer=True)
        say("break", **fields)

    def ack_lease(self, command):
        message = LeaseBreakAcknowledgement()
        message["lease_key"] = bytes.fromhex(command["lease"])
        message["lease_state"] = command["state"]
        return message

    def ack_oplock(self, command):
        message = OplockBreakAcknowledgement()
        message["oplock_level"] = command["level"]
        message["file_id"] = bytes.fromhex(command["file_id"])
        return message

    def create(self, command):
        handle = self.opens[command["id"]] = Open(self.tree_of(command), command["name"])
        contexts = []

        def add(name, data):
            context = SMB2CreateContextRequest()
            context["buffer_name"] = name
            context["buffer_data"] = data
            contexts.append(context)

        oplock = command.get("oplock", 0)
        if command.get("lease") is not None:
            oplock = 0xFF
            lease = SMB2CreateRequestLease()
            lease["lease_key"] = bytes.fromhex(command["lease"])
            lease["lease_state"] = command["lease_state"]
            add(CreateContextName.SMB2_CREATE_REQUEST_LEASE, lease)
        if command.get("durable") is not None:
            durable = SMB2CreateDurableHandleRequestV2()
            durable["create_guid"] = uuid.UUID(command["durable"])
            add(CreateContextName.SMB2_CREATE_DURABLE_HANDLE_REQUEST_V2, durable)
        if command.get("reconnect") is not None:
            again = SMB2CreateDurableHandleReconnectV2()
            again["file_id"] = bytes.fromhex(command["reconnect_id"])
            again["create_guid"] = uuid.UUID(command["reconnect"])
            add(CreateContextName.SMB2_CREATE_DURABLE_HANDLE_RECONNECT_V2, again)
        return handle.create(
            2,  # impersonation
            command["access"],
            command.get("attributes", 0),
            command["sharing"],
            command["disposition"],
            command["options"],
            create_contexts=contexts or None,
            oplock_level=oplock,
            send=False,
        )[0]

    def message(self, command):
        op = command["op"]
        if op == "create":
            return self.create(command)
        if op == "ack_lease":
            return self.ack_lease(command)
        if op == "ack_oplock":
            return self.ack_oplock(command)
        if op == "tree_disconnect":
            return SMB2TreeDisconnect()
        if op == "logoff":
            return SMB2Logoff()
        handle = self.opens[command["handle"]]
        if op == "read":
            return handle.read(command["offset"], command["length"], send=False)[0]
        if op == "write":
            return handle.write(bytes.fromhex(command["data"]), command["offset"], send=False)[0]
        if op == "flush":
            return handle.flush(send=False)[0]
        if op == "close":
            return handle.close(send=False)[0]
        raise ValueError(f"unknown op {op}")

    def run(self, command):
        ids = (self.session.session_id, self.tree_of(command).tree_connect_id)
        connection = self.channels[command.get("channel", 0)]
        if command["op"] == "kill":
            connection.transport.close()
        elif command["op"] == "add_channel":
            self.add_channel(command)
        elif command["op"] == "add_tree":
            self.add_tree(command)
        elif command["op"] == "cancel":
            self.requests[command["of"]].cancel()
        elif command["op"] == "compound":
            parts = command["parts"]
            began = time.monotonic()
            requests = connection.send_compound([self.message(part) for part in parts], *ids, related=True)
            for part, request in zip(parts, requests):
                self.follow(part, request, began)
        else:
            message = self.message(command)
            began = time.monotonic()
            self.follow(command, connection.send(message, *ids, credit_request=8), began)

    def follow(self, command, request, began):
        self.requests[command["id"]] = request
        request.watch(lambda header: self.on_response(command, request, header, began))

    def on_response(self, command, request, header, began):
        status = header["status"].get_value()
        if status == STATUS_PENDING:
            say("pending", id=command["id"])
            return
        fields = {}
        if status == 0 and command["op"] == "create":
            fields = self.on_created(command, header)
        elif status == 0 and command["op"] == "read":
            answer = SMB2ReadResponse()
            answer.unpack(header["data"].get_value())
            fields = {"data": answer["buffer"].get_value().hex()}
        request._connection.outstanding_requests.pop(request.message["message_id"].get_value(), None)
        say("done", id=command["id"], status=status, ms=(time.monotonic() - began) * 1000, **fields)

    def on_created(self, command, header):
        answer = SMB2CreateResponse()
        answer.unpack(header["data"].get_value())
        handle = self.opens[command["id"]]
        handle.file_id = answer["file_id"].get_value()
        handle._connected = True
        fields = {"size": answer["end_of_file"].get_value(), "oplock": answer["oplock_level"].get_value()}
        fields["file_id"] = handle.file_id.hex()
        if answer["create_contexts_length"].get_value() > 0:
            for context in answer["buffer"].get_value():
                name = context["buffer_name"].get_value()
                if name == CreateContextName.SMB2_CREATE_REQUEST_LEASE:
                    fields["lease_state"] = struct.unpack("<L", context["buffer_data"].get_value()[16:20])[0]
                fields["durable"] = fields.get("durable") or name.startswith(b"DH2Q")
        return fields


def main():
    # Logs of dying connections are no news to anybody.
    import logging

    logging.disable(logging.CRITICAL)
    client = Client(int(sys.argv[1]), *sys.argv[2:6])
    for line in sys.stdin:
        command = json.loads(line)
        try:
            client.run(command)
        except Exception as error:
            failed = [part["id"] for part in command.get("parts", [command]) if "id" in part]
            for one in failed:
                say("failed", id=one, error=f"{type(error).__name__}: {error}")
    # No polite goodbyes: whoever wants them closes the handles first.


if __name__ == "__main__":
    main()
