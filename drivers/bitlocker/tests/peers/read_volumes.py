"""Opens BitLocker volumes with a library of others and prints the SHA-256 of ranges.

Usage: read_volumes.py libbde|dissect, with a list of tasks in JSON on standard input:
image, protector (Password, RecoveryPassword, StartupKey), secret (a path for the last), ranges as pairs of
offset and length. Prints a list of answers in their order: {"sha256": [...], "size": n} or {"error": "..."}.
"""

import hashlib
import json
import sys


class Libbde:
    def __init__(self, task):
        import pybde

        self.volume = pybde.volume()
        protector, secret = task["protector"], task["secret"]
        if protector == "Password":
            self.volume.set_password(secret)
        elif protector == "RecoveryPassword":
            self.volume.set_recovery_password(secret)
        else:
            self.volume.read_startup_key(secret)
        self.volume.open(task["image"])
        if self.volume.is_locked():
            raise ValueError("still locked")
        self.size = self.volume.get_size()

    def read(self, offset, length):
        return self.volume.read_buffer_at_offset(length, offset)


class Dissect:
    def __init__(self, task):
        from dissect.fve.bde import BDE

        volume = BDE(open(task["image"], "rb"))
        protector, secret = task["protector"], task["secret"]
        if protector == "Password":
            volume.unlock_with_passphrase(secret)
        elif protector == "RecoveryPassword":
            volume.unlock_with_recovery_password(secret)
        else:
            with open(secret, "rb") as key:
                volume.unlock_with_bek(key)
        self.stream = volume.open()
        self.size = self.stream.size

    def read(self, offset, length):
        self.stream.seek(offset)
        return self.stream.read(length)


def answer(reader, task):
    try:
        volume = reader(task)
        digests = [hashlib.sha256(volume.read(offset, length)).hexdigest() for offset, length in task["ranges"]]
        return {"sha256": digests, "size": volume.size}
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return {"error": f"{type(error).__name__}: {error}"}


def main():
    reader = {"libbde": Libbde, "dissect": Dissect}[sys.argv[1]]
    print(json.dumps([answer(reader, task) for task in json.load(sys.stdin)]))


main()
