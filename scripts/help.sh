# Sourced first by the scripts, with their arguments: --help prints the lines that a script begins with, and ends it.
case " $* " in
    *" --help "* | *" -h "*)
        sed -n '2,${/^#/!q;s/^# \{0,1\}//p}' "$0"
        echo "Settings come from the environment: scripts/settings.sh lists them."
        exit ;;
esac
