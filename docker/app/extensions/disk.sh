df --output=pcent / | tail -n 1 | tr -d " "
