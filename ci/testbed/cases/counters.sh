# Sourced by cases in a virtual machine with two soft-RoCE devices on a cable: what has crossed it, by the kernel's counters.
# shellcheck shell=bash
# received INTERFACE [FIELD]: bytes that came in there; packets, where FIELD is 3.
received() { awk -v want="$1:" -v field="${2:-2}" '$1 == want { print $field }' /proc/net/dev; }
# counted NAME: the sum over the devices of one of their counters.
counted() { cat /sys/class/infiniband/*/ports/1/hw_counters/"$1" | awk '{ sum += $1 } END { printf "%d\n", sum }'; }
