#!/usr/bin/env python3
"""Verifies a custody proof of a Drayage station: python3 verify-custody-proof.py PUBLIC-KEYS PROOF

Written from the documentation of the format (station/custody: canonical, chain, checkpoint, proof), not from
the station's code, so that a customer need not take the station's word for it. Needs Python 3.11 and the
openssl program (3.0), nothing else. Prints the job's entries and exits 0, or says what is wrong and exits 1.
"""
import datetime, hashlib, json, struct, subprocess, sys, tempfile


class Worthless(Exception):
    pass


def need(condition, message):
    if not condition:
        raise Worthless(message)


def u64(number):
    return struct.pack(">Q", number)


def text(value):
    value = value.encode()
    return struct.pack(">I", len(value)) + value


def option(value, then=b""):
    return b"\0" if value is None else b"\1" + text(value) + then


def only(fields, known):
    need(set(fields) <= set(known), f"fields that are not signed: {sorted(set(fields) - set(known))}")


def canonical(entry):
    """The bytes of an entry that are hashed."""
    only(entry, ["chain", "no", "job_no", "salt", "draft"])
    draft = entry["draft"]
    only(draft, "at_unix_ms actor roles action job drive bay before after reason files".split())
    salt = bytes.fromhex(entry["salt"])
    need(len(salt) == 16 and (draft.get("job") is None) == (entry.get("job_no") is None), "an entry is malformed")
    out = b"\1" + text(entry["chain"]) + u64(entry["no"]) + salt + struct.pack(">q", draft["at_unix_ms"])
    roles, files = draft.get("roles", []), draft.get("files", [])
    out += text(draft["actor"]) + struct.pack(">I", len(roles)) + b"".join(map(text, roles)) + text(draft["action"])
    out += option(draft.get("job"), u64(entry.get("job_no") or 0))
    for field in ["drive", "bay", "before", "after", "reason"]:
        out += option(draft.get(field))
    out += struct.pack(">I", len(files))
    for file in files:
        only(file, ["name", "sha256"])
        out += text(file["name"]) + bytes.fromhex(file["sha256"])
    return out


def sha256(tag, *parts):
    return hashlib.sha256(b"drayage-custody-" + tag + b"-v1\0" + b"".join(parts)).digest()


def time_ms(word):
    return int(datetime.datetime.fromisoformat(word).timestamp() * 1000)


def public_keys(lines):
    """id -> (32 bytes, from, until)."""
    keys = {}
    for line in lines:
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        need(fields[0] == "custody-public-key" and len(fields) in (3, 5, 7), "a line of the public keys is malformed")
        key = bytes.fromhex(fields[2])
        need(hashlib.sha256(key).hexdigest()[:32] == fields[1], "a public key does not belong to its id")
        times = dict(zip(fields[3::2], map(time_ms, fields[4::2])))
        keys[fields[1]] = (key, times.get("from"), times.get("until"))
    return keys


def check_signature(keys, signer, at, message, signature, what):
    need(signer in keys, f"{what} is signed by the key {signer}, which is not among the public keys")
    key, since, until = keys[signer]
    need((since is None or since <= at) and (until is None or at <= until), f"the key of {what} was not in use then")
    with tempfile.NamedTemporaryFile() as public, tempfile.NamedTemporaryFile() as sig, \
            tempfile.NamedTemporaryFile() as data:
        # The fixed beginning of an Ed25519 public key in DER (RFC 8410).
        for file, content in [(public, bytes.fromhex("302a300506032b6570032100") + key),
                              (sig, bytes.fromhex(signature)), (data, message)]:
            file.write(content)
            file.flush()
        command = ["openssl", "pkeyutl", "-verify", "-pubin", "-keyform", "DER", "-inkey", public.name, "-rawin",
                   "-in", data.name, "-sigfile", sig.name]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    need(done.returncode == 0, f"{what} was changed or forged")


def verify(keys, lines):
    need(lines, "the proof is empty")
    front = json.loads(lines[0])
    only(front, ["kind", "version", "chain", "job", "after"])
    need((front["kind"], front["version"]) == ("drayage-custody-proof", 1), "this is no custody proof of version 1")
    # Like the station: letters A to Z are compared without case, all others as they are.
    key_of = lambda job: "".join(c.lower() if "A" <= c <= "Z" else c for c in job)
    chain, job = front["chain"], key_of(front["job"])
    no, head, own, end = front["after"]["no"], bytes.fromhex(front["after"]["hash"]), [], None
    for number, line in enumerate(lines[1:], 2):
        need(end is None, f"line {number} follows the end")
        (kind, value), = json.loads(line).items()
        if kind == "end":
            end = value
            continue
        no += 1
        if kind == "entry":
            draft = value["draft"]
            need((value["chain"], value["no"]) == (chain, no), f"line {number}: the entry does not belong here")
            need(draft.get("job") is not None and key_of(draft["job"]) == job, f"line {number}: another job's entry")
            need(value["job_no"] == len(own) + 1, f"line {number}: an entry of the job is hidden before this one")
            own.append(value)
            digest = sha256(b"entry", canonical(value))
        else:
            need(kind == "digest", f"line {number}: neither entry nor digest")
            digest = bytes.fromhex(value)
            need(len(digest) == 32, f"line {number}: no digest")
        head = sha256(b"link", head, digest)
    need(end is not None, "the proof was cut off")
    checkpoint, statement = end["checkpoint"], end["statement"]
    only(checkpoint, ["chain", "no", "hash", "at_unix_ms", "at", "key", "signature"])
    only(statement, ["entries", "at_unix_ms", "key", "signature"])
    covers = u64(checkpoint["no"]) + bytes.fromhex(checkpoint["hash"])
    at, signer = checkpoint["at_unix_ms"], checkpoint["key"]
    message = b"drayage-custody-checkpoint-v1\0" + text(checkpoint["chain"]) + covers
    message += struct.pack(">q", at) + bytes.fromhex(signer)
    check_signature(keys, signer, at, message, checkpoint["signature"], "the checkpoint")
    need((checkpoint["chain"], checkpoint["no"], checkpoint["hash"]) == (chain, no, head.hex()),
         "what is shown does not come to the signed checkpoint: something was changed or left out")
    at, signer = statement["at_unix_ms"], statement["key"]
    message = b"drayage-custody-statement-v1\0" + text(chain) + covers + text(job) + u64(statement["entries"])
    message += struct.pack(">q", at) + bytes.fromhex(signer)
    check_signature(keys, signer, at, message, statement["signature"], "the statement")
    need(statement["entries"] == len(own), f"the job has {statement['entries']} entries, shown are {len(own)}")
    return front["job"], own, checkpoint


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        keys = public_keys(open(sys.argv[1], encoding="utf-8").read().splitlines())
        # Not splitlines(), which also breaks at characters that JSON texts may contain.
        lines = open(sys.argv[2], encoding="utf-8", newline="\n").read().split("\n")
        need(lines.pop() == "", "the proof was cut off")
        job, own, checkpoint = verify(keys, lines)
    except Worthless as error:
        sys.exit(f"not proven: {error}")
    except (ValueError, KeyError, TypeError, AttributeError, struct.error, OSError) as error:
        sys.exit(f"not proven: the text is malformed ({error!r})")
    time = lambda ms: datetime.datetime.fromtimestamp(ms / 1000, datetime.timezone.utc).isoformat("T", "seconds")
    print(f"proven: all {len(own)} entries of {job}, up to entry {checkpoint['no']} of {checkpoint['chain']}, "
          f"signed {time(checkpoint['at_unix_ms'])}")
    for entry in own:
        draft = entry["draft"]
        states = " -> ".join(filter(None, [draft.get("before"), draft.get("after")]))
        print(" ", entry["job_no"], time(draft["at_unix_ms"]), draft["actor"], draft["action"],
              draft.get("drive") or "", states, draft.get("reason") or "")


if __name__ == "__main__":
    main()
