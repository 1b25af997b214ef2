// SPDX-License-Identifier: MIT
// Linked into coverage builds only (make COV=1): gcov writes its counters at exit, and a pilot
// never exits, it becomes podman. So they are written before each exec and _exit (ld's --wrap).
#include <gcov.h>
#include <stdlib.h>
#include <unistd.h>

int __real_execv(const char *path, char *const argv[]);
int __wrap_execv(const char *path, char *const argv[]);
int __real_execve(const char *path, char *const argv[], char *const env[]);
int __wrap_execve(const char *path, char *const argv[], char *const env[]);
int __real_execvp(const char *file, char *const argv[]);
int __wrap_execvp(const char *file, char *const argv[]);
int __real_execvpe(const char *file, char *const argv[], char *const env[]);
int __wrap_execvpe(const char *file, char *const argv[], char *const env[]);
_Noreturn void __real__exit(int status);
_Noreturn void __wrap__exit(int status);

int __wrap_execv(const char *path, char *const argv[])
{
	int rc;

	__gcov_dump();
	rc = __real_execv(path, argv);
	__gcov_reset();
	return rc;
}

int __wrap_execve(const char *path, char *const argv[], char *const env[])
{
	int rc;

	__gcov_dump();
	rc = __real_execve(path, argv, env);
	__gcov_reset();
	return rc;
}

int __wrap_execvp(const char *file, char *const argv[])
{
	int rc;

	__gcov_dump();
	rc = __real_execvp(file, argv);
	__gcov_reset();
	return rc;
}

int __wrap_execvpe(const char *file, char *const argv[], char *const env[])
{
	int rc;

	__gcov_dump();
	rc = __real_execvpe(file, argv, env);
	__gcov_reset();
	return rc;
}

void __wrap__exit(int status)
{
	__gcov_dump();
	__real__exit(status);
}
