"""Shows what vscan does, and fails if it does not.

    client.py                  what the three shares promise
    client.py scanner-loss     what they promise while clamd is down

It talks SMB with the server `samba`, and puts files into the shares' directories behind its back, as a local program,
rsync or a backup would.
"""

import logging
import os
import socket
import sys
import threading
import time
from pathlib import Path

import smbclient
from smbprotocol.exceptions import SMBOSError, SMBResponseException

ACCESS_DENIED = 0xC0000022
VIRUS_INFECTED = 0xC0000906
NAMES = {ACCESS_DENIED: "NT_STATUS_ACCESS_DENIED", VIRUS_INFECTED: "NT_STATUS_VIRUS_INFECTED"}

# The EICAR test file: every scanner takes it for a virus, and it does nothing. In parts, so that no scanner takes this
# program for one.
EICAR = "".join([r"X5O!P%@AP[4\PZX54(P^)7CC)7}$", "EICAR-STANDARD-ANTIVIRUS", "-TEST-FILE!$H+H*"]).encode()
CLEAN = os.urandom(150_000).hex().encode()
# clamd takes seconds for so much.
LARGE = 256 << 20

failed = 0


def headline(text):
    print(f"\n{text}")


def check(claim, holds):
    global failed
    print(f"   {'right' if holds else 'WRONG'}: {claim}")
    failed += not holds


def share(name):
    return rf"\\samba\{name}"


def read(path, length=-1):
    """What the server says: the content, or the status it refuses with."""
    return said(lambda: open_and_read(path, length))


def open_and_read(path, length):
    with smbclient.open_file(path, mode="rb", share_access="rwd") as file:
        return file.read(length)


def write(path, content):
    return said(lambda: open_and_write(path, content))


def open_and_write(path, content):
    # Unbuffered, so that the close is a close and nothing else.
    with smbclient.open_file(path, mode="wb", share_access="rwd", buffering=0) as file:
        file.write(content)


def said(request):
    try:
        return request()
    except SMBOSError as error:
        return error.ntstatus
    except SMBResponseException as error:
        return error.status


def name_of(answer):
    if isinstance(answer, int):
        return NAMES.get(answer, hex(answer))
    return "no error"


def check_refused(path, answer, status):
    check(f"reading {path} is refused with {NAMES[status]} (the server says: {name_of(answer)})", answer == status)


def plant(name, content):
    """Puts a file into a share's directory, as the share's user, behind smbd's back."""
    path = Path("/srv") / name
    path.unlink(missing_ok=True)
    path.write_bytes(content)
    return path


def comes_true(condition):
    """For what happens behind the client's back."""
    for _ in range(200):
        if condition():
            return True
        time.sleep(0.1)
    return False


def clean_files_pass(name):
    path = rf"{share(name)}\report.txt"
    answer = write(path, CLEAN)
    check(f"writing {path} ends with {name_of(answer)}", answer is None)
    check("the same content comes back", read(path) == CLEAN)


def infected_files_are_refused(name):
    """Returns where the file was put."""
    planted = plant(f"{name}/invoice.com", EICAR)
    path = rf"{share(name)}\invoice.com"
    check_refused(path, read(path), VIRUS_INFECTED)
    return planted


def shares_keep_their_promises():
    headline("team: clamd is passed open files; infected ones go to quarantine")
    clean_files_pass("team")
    planted = infected_files_are_refused("team")
    check("the file is no longer in the share", not planted.exists())
    answer = write(rf"{share('team')}\upload.com", EICAR)
    check(f"an infected upload ends with {name_of(answer)}: its writer need not wait for the scan", answer is None)
    check("a moment later it is no longer in the share", comes_true(lambda: not Path("/srv/team/upload.com").exists()))

    headline("archive: clamd is sent the content; infected files stay, and a close waits for the scan")
    clean_files_pass("archive")
    planted = infected_files_are_refused("archive")
    check("the file is where it was", planted.read_bytes() == EICAR)
    smbclient.remove(rf"{share('archive')}\invoice.com")
    check("its owner can delete it", not planted.exists())
    answer = write(rf"{share('archive')}\upload.com", EICAR)
    check(f"the close of an infected upload is refused (the server says: {name_of(answer)})", answer == ACCESS_DENIED)
    check_refused("it", read(rf"{share('archive')}\upload.com"), VIRUS_INFECTED)
    smbclient.remove(rf"{share('archive')}\upload.com")

    headline("inbox: c-icap is sent the content; infected files are renamed")
    clean_files_pass("inbox")
    planted = infected_files_are_refused("inbox")
    renamed = planted.with_name("invoice.com.infected")
    check("the file is called invoice.com.infected now", not planted.exists() and renamed.exists())
    renamed.unlink(missing_ok=True)


def nobody_waits_who_need_not():
    headline("A client opens a large file that nobody has scanned, and works on meanwhile")
    planted = Path("/srv/team/film.iso")
    planted.unlink(missing_ok=True)
    with planted.open("wb") as file:
        file.truncate(LARGE)
    path = rf"{share('team')}\film.iso"
    # Connected and scanned already.
    read(rf"{share('team')}\report.txt")

    first = Opening(path)
    others = 0
    while first.is_alive():
        smbclient.listdir(share("team"))
        known = read(rf"{share('team')}\report.txt") == CLEAN
        others += known and first.is_alive()
        time.sleep(0.05)
    check(f"the file is opened, after a scan of {first.seconds:.1f} s", first.answer == b"\0")
    check(f"on the same connection, other files were listed and read {others} times meanwhile", others >= 3)

    headline("It is opened again")
    again = Opening(path)
    again.join()
    check("the file is opened", again.answer == b"\0")
    check(f"without another scan: it took {again.seconds * 1000:.0f} ms", again.seconds < first.seconds / 4)
    planted.unlink()


class Opening(threading.Thread):
    """Opens a file and reads its first byte. All threads share one connection."""

    def __init__(self, path):
        super().__init__()
        self.path = path
        self.start()

    def run(self):
        began = time.monotonic()
        self.answer = read(self.path, 1)
        self.seconds = time.monotonic() - began


def clamd_answers():
    try:
        socket.create_connection(("clamd", 3310), timeout=5).close()
        return True
    except OSError:
        return False


def scanner_loss():
    if clamd_answers():
        sys.exit("clamd is up: stop it first, with `docker compose stop clamd`")
    headline("team: clamd is down, so c-icap is asked")
    clean_files_pass("team")
    infected_files_are_refused("team")

    headline("inbox: c-icap does not need clamd")
    clean_files_pass("inbox")
    infected_files_are_refused("inbox").with_name("invoice.com.infected").unlink(missing_ok=True)

    headline("archive: nobody but clamd is asked, so nobody can tell what is in a file")
    planted = plant("archive/unknown.txt", CLEAN)
    path = rf"{share('archive')}\unknown.txt"
    check_refused(path, read(path), ACCESS_DENIED)
    check("the file is where it was", planted.exists())
    planted.unlink()


def main():
    # Only what is said here is meant for people.
    logging.disable(logging.CRITICAL)
    smbclient.register_session("samba", username="ann", password="demo", connection_timeout=60)
    if sys.argv[1:] == ["scanner-loss"]:
        scanner_loss()
    elif not sys.argv[1:]:
        shares_keep_their_promises()
        nobody_waits_who_need_not()
    else:
        sys.exit(__doc__)
    if failed:
        sys.exit(f"\n{failed} of these claims did not hold")
    print("\nAll claims hold.")


if __name__ == "__main__":
    main()
