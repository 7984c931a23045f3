/* cpus.c - CPUs this process may use: the affinity mask, cut by the cgroup quota.
 *
 * /proc/self/cgroup names our group: "0::/path" (v2: cpu.max holds "quota period" or "max period") or
 * "4:cpu,cpuacct:/path" (v1: cpu.cfs_quota_us, -1 for none, and cpu.cfs_period_us). Every ancestor may hold a tighter
 * quota. Inside a container the path is often the host's, so the walk upwards passes groups that cannot be seen.
 * See man cgroups(7) and the kernel's cgroup-v2.rst. Files are read without stdio, which would allocate. */
#include "core/cpus.h"

#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/core.h"

enum { PATH_BYTES = 4096, TEXT_BYTES = 8192 };

static bool read_text(char *text, size_t n, const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t len = 0;
    for (;;) {
        const ssize_t got = read(fd, text + len, n - 1 - len);
        if (got <= 0)
            break;
        len += (size_t)got;
    }
    close(fd);
    text[len] = '\0';
    return len > 0;
}

static int whole_cpus(long long quota, long long period)
{
    if (quota <= 0 || period <= 0)
        return 0;
    const long long n = quota / period + (quota % period != 0);
    return n > INT_MAX ? INT_MAX : (int)n;
}

/* Quota of one group directory, 0 when it has none. */
static int quota_v2(const char *dir)
{
    char path[PATH_BYTES + 32], text[128];
    snprintf(path, sizeof path, "%s/cpu.max", dir);
    if (!read_text(text, sizeof text, path))
        return 0;
    char *end;
    const long long quota = strtoll(text, &end, 10); /* "max" reads as 0 */
    return end == text ? 0 : whole_cpus(quota, strtoll(end, NULL, 10));
}

static int quota_v1(const char *dir)
{
    char path[PATH_BYTES + 32], text[128];
    snprintf(path, sizeof path, "%s/cpu.cfs_quota_us", dir);
    if (!read_text(text, sizeof text, path))
        return 0;
    const long long quota = strtoll(text, NULL, 10);
    snprintf(path, sizeof path, "%s/cpu.cfs_period_us", dir);
    if (!read_text(text, sizeof text, path))
        return 0;
    return whole_cpus(quota, strtoll(text, NULL, 10));
}

/* The tightest quota from `group` up to the mount point. */
static int walk_up(const char *mount, const char *group, int (*quota)(const char *))
{
    char dir[PATH_BYTES];
    int best = 0;
    const size_t base = strlen(mount);
    const int len = snprintf(dir, sizeof dir, "%s%s", mount, group);
    if (len < 0 || (size_t)len >= sizeof dir)
        return 0;
    for (;;) {
        const int n = quota(dir);
        if (n > 0 && (best == 0 || n < best))
            best = n;
        char *slash = strrchr(dir, '/');
        if (!slash || (size_t)(slash - dir) < base)
            return best;
        *slash = '\0';
    }
}

/* Is "cpu" among the comma-separated controllers? */
static bool has_cpu(const char *list)
{
    for (; *list; list += strcspn(list, ",") + (list[strcspn(list, ",")] == ','))
        if (strcspn(list, ",") == 3 && memcmp(list, "cpu", 3) == 0)
            return true;
    return false;
}

int ln__cgroup_cpus(const char *root)
{
    static const char *const v1_mounts[] = { "/sys/fs/cgroup/cpu", "/sys/fs/cgroup/cpu,cpuacct" };
    char text[TEXT_BYTES], mount[512];
    snprintf(mount, sizeof mount, "%s/proc/self/cgroup", root);
    if (!read_text(text, sizeof text, mount))
        return 0;
    int best = 0;
    for (char *line = text, *next; line && *line; line = next) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        char *list = strchr(line, ':');
        char *group = list ? strchr(list + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        for (int k = 0; k < 2; k++) {
            int n = 0;
            if (list[1] == '\0') {
                snprintf(mount, sizeof mount, "%s/sys/fs/cgroup%s", root, k ? "/unified" : "");
                n = walk_up(mount, group, quota_v2);
            } else if (has_cpu(list + 1)) {
                snprintf(mount, sizeof mount, "%s%s", root, v1_mounts[k]);
                n = walk_up(mount, group, quota_v1);
            }
            if (n > 0 && (best == 0 || n < best))
                best = n;
        }
    }
    return best;
}

static int affinity_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0)
        return CPU_COUNT(&set);
    const long n = sysconf(_SC_NPROCESSORS_ONLN); /* more CPUs than a cpu_set_t holds */
    return n > 0 && n < INT_MAX ? (int)n : 1;
}

int ln__usable_cpus(void)
{
    const int mask = affinity_cpus(), quota = ln__cgroup_cpus("");
    return quota > 0 && quota < mask ? quota : mask;
}
