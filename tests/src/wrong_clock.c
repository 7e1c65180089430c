/* Moves the wall clock of one process, and no other clock, by the seconds in the file that WRONG_CLOCK names:
   eight bytes in the machine's order, read at each call. Loaded with LD_PRELOAD, by tests alone. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static volatile int64_t *step;

__attribute__((constructor)) static void open_step(void)
{
    const char *path = getenv("WRONG_CLOCK");
    int file = path ? open(path, O_RDONLY) : -1;
    if (file < 0)
        return;
    void *bytes = mmap(0, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
    if (bytes != MAP_FAILED)
        step = bytes;
    close(file);
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    long failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && clock == CLOCK_REALTIME && step)
        now->tv_sec += *step;
    return (int)failed;
}
