cut -d " " -f 1 /proc/loadavg
