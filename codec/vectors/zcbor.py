"""Says whether zcbor finds every published vector valid: zcbor.py <path of zcbor>."""

import json
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
SCHEMA = HERE.parent / "sl1.zcbor.cddl"


def valid(zcbor, rule, data):
    command = [zcbor, "validate", "-c", SCHEMA, "-t", rule, "-i", "-", "--input-as", "cbor", "--default-max-qty", "64"]
    return subprocess.run(command, input=data, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)


def main(zcbor):
    checked = 0
    for name in ["messages", "records", "statements", "tickets", "links", "controls", "seal_frames"]:
        for vector in json.loads((HERE / f"{name}.json").read_text(encoding="utf-8")):
            answer = valid(zcbor, vector["rule"], bytes.fromhex(vector["hex"]))
            checked += 1
            if answer.returncode:
                sys.exit(f"{name}/{vector['name']}: {answer.stdout.decode()[-400:]}")
    print(f"    {checked} vectors valid")


if __name__ == "__main__":
    main(sys.argv[1])
