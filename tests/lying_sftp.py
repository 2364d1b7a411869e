"""An SFTP server whose answers are made up: `python lying_sftp.py FOLDER`, the command of an sshd's subsystem.

FOLDER/answers has one line of hexadecimal digits a packet: the first answers the greeting, each next one a request, the
last all further ones. The four bytes `_ID_` stand for the request's number. FOLDER/requests grows by a byte a request.
"""

import sys
from pathlib import Path

folder = Path(sys.argv[1])
answers = [bytes.fromhex(line) for line in (folder / "answers").read_text().split()]
with (folder / "requests").open("ab", buffering=0) as requests:
    while head := sys.stdin.buffer.read(4):
        request = sys.stdin.buffer.read(int.from_bytes(head, "big"))
        requests.write(b".")
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        sys.stdout.buffer.write(answer.replace(b"_ID_", request[1:5]))
        sys.stdout.buffer.flush()
