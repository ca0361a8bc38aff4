"""What the exit status says."""

UNEXPECTED = 1
WRONG_INPUT = 2  # argparse's own
INTERRUPTED = 130
CLOSED_PIPE = 141  # as of a program that SIGPIPE ends

HELP = """\
exit status:
  0    all is done
  1    an error that nobody expected
  2    wrong arguments or input; a sentence on the standard error output says what to do
  130  interrupted; what `relustat analyze` has counted until then is reported
"""
