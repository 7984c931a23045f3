/* cpus.h - how many CPUs this process may use. */
#ifndef LINNET_CORE_CPUS_H
#define LINNET_CORE_CPUS_H

/* The smaller of the affinity mask and the cgroup quota (rounded up); at least 1. */
int ln__usable_cpus(void);
/* CPUs that the cgroup quota grants, rounded up; 0 when there is none. `root` stands before /proc and /sys ("" in
 * earnest, a directory in tests). */
int ln__cgroup_cpus(const char *root);

#endif
