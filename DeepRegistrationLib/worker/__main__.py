"""``python -m DeepRegistrationLib.worker FOLDER``: the child."""

import sys

from DeepRegistrationLib.worker.child import main

if __name__ == "__main__":
    main(sys.argv[1:])
