/* The C of cede on a machine that has nothing of Linux's own: a build with CEDE_PORTABLE=1 includes this before all
   else. The system's headers are read as they are; then Linux's names are taken away, and using one is an error. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Some headers have these both as macros, about which they may be asked, and as enumerators. */
#define SOCK_CLOEXEC hidden_SOCK_CLOEXEC
#define SOCK_NONBLOCK hidden_SOCK_NONBLOCK
#define MSG_NOSIGNAL hidden_MSG_NOSIGNAL
#define MSG_MORE hidden_MSG_MORE

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#undef SOCK_CLOEXEC
#undef SOCK_NONBLOCK
#undef MSG_NOSIGNAL
#undef MSG_MORE
#undef TCP_CORK
#undef TCP_QUICKACK
#undef __linux__
#undef __linux
#undef linux
#pragma GCC poison accept4 dup3 pipe2 recvmmsg sendmmsg mmsghdr ppoll splice tee prctl syscall gettid
#pragma GCC poison epoll_create epoll_create1 epoll_ctl epoll_wait epoll_pwait epoll_pwait2 epoll_event
#pragma GCC poison eventfd eventfd_read eventfd_write signalfd timerfd_create timerfd_settime pidfd_open
