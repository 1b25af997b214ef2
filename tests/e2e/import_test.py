"""import_test.py STATUS ANSWER… -- COMMAND…: runs a command on a terminal and answers its questions
("EOF": the end of input), one after the other. Fails unless it ends with STATUS after all of them."""
import os
import pty
import sys

split = sys.argv.index("--")
status, answers, command = int(sys.argv[1]), sys.argv[2:split], sys.argv[split + 1:]
pid, fd = pty.fork()
if pid == 0:
    os.execvp(command[0], command)
seen = b""
for answer in answers:
    while not seen.endswith(b"y: yes, n: no: "):
        data = os.read(fd, 4096)
        if not data:
            sys.exit("ended before the question: " + seen.decode())
        seen += data
    print(seen.decode())
    seen = b""
    os.write(fd, b"\x04" if answer == "EOF" else answer.encode() + b"\n")
while True:
    try:
        data = os.read(fd, 4096)
    except OSError:
        break
    if not data:
        break
    seen += data
print(seen.decode())
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
sys.exit(code != status and f"exit status {code}, not {status}" or 0)
