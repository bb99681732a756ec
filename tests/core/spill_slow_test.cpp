// A Spiller over a disk that is slow: what waits is served when the disk is, in the end; nothing is asked for twice, and
// what is in memory does not wait.
