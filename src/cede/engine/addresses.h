/* Datagrams and connections with the address of the other side, as the socket module says it. */
#ifndef CEDE_ADDRESSES_H
#define CEDE_ADDRESSES_H

#include "transfers.h"

#include <arpa/inet.h>
#include <fcntl.h>

typedef struct {
    socklen_t size; /* of what stands in `name` */
    struct sockaddr_storage name;
} cede_address;

/* A bytearray that holds an address: of the last datagram, or of the next. */
#define cede_address_buffer() PyByteArray_FromStringAndSize(NULL, sizeof(cede_address))

/* Write four bytes as a dotted name, and return its length. inet_ntop goes through sprintf, which takes as long as
   accepting. */
static int cede_ipv4_text(const unsigned char *parts, char *text) {
    char *end = text;
    int i;
    for (i = 0; i < 4; i++) {
        unsigned part = parts[i];
        if (i) *end++ = '.';
        if (part > 99) *end++ = (char)('0' + part / 100);
        if (part > 9) *end++ = (char)('0' + part / 10 % 10);
        *end++ = (char)('0' + part % 10);
    }
    return (int)(end - text);
}

/* What the socket module says of an address of the internet; Py_None of any other. A new reference, or NULL with an
   error set. */
static PyObject *cede_address_tuple(const cede_address *from) {
    char text[INET6_ADDRSTRLEN];
    PyObject *host, *port, *pair;
    const struct sockaddr_in *in = (const struct sockaddr_in *)&from->name;
    const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)&from->name;
    if (from->name.ss_family == AF_INET && from->size == sizeof(*in)) {
        host = PyUnicode_FromStringAndSize(text, cede_ipv4_text((const unsigned char *)&in->sin_addr, text));
        port = PyLong_FromLong(ntohs(in->sin_port));
        pair = host && port ? PyTuple_Pack(2, host, port) : NULL;
        Py_XDECREF(host);
        Py_XDECREF(port);
        return pair;
    }
    if (from->name.ss_family == AF_INET6 && from->size == sizeof(*in6)) {
        if (!inet_ntop(AF_INET6, &in6->sin6_addr, text, sizeof(text))) return PyErr_SetFromErrno(PyExc_OSError);
        return Py_BuildValue("siII", text, (int)ntohs(in6->sin6_port), (unsigned)ntohl(in6->sin6_flowinfo),
                             (unsigned)in6->sin6_scope_id);
    }
    Py_RETURN_NONE;
}

/* (datagram, address), None if there is none, NULL with an error set. `known` is the tuple of the address in `last`,
   and given again if the datagram comes from there; else `last` gets the new one. */
static PyObject *cede_receive_from(int fd, PyObject *buffer, Py_ssize_t size, PyObject *last, PyObject *known) {
    cede_address from, *before;
    PyObject *data, *address, *pair;
    Py_ssize_t count;
    if (!cede_is_memory(buffer) || !cede_is_memory(last)) return NULL;
    before = (cede_address *)PyByteArray_AS_STRING(last);
    from.size = sizeof(from.name);
    if (size > PyByteArray_GET_SIZE(buffer)) size = PyByteArray_GET_SIZE(buffer);
    count = recvfrom(fd, PyByteArray_AS_STRING(buffer), size, MSG_DONTWAIT, (struct sockaddr *)&from.name, &from.size);
    if (count < 0) {
        if (cede_would_block()) Py_RETURN_NONE;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    if (known != Py_None && from.size == before->size && memcmp(&from.name, &before->name, from.size) == 0) {
        address = Py_NewRef(known);
    } else {
        address = cede_address_tuple(&from);
        if (address == NULL) return NULL;
        *before = from;
    }
    data = PyBytes_FromStringAndSize(PyByteArray_AS_STRING(buffer), count);
    pair = data ? PyTuple_Pack(2, data, address) : NULL;
    Py_XDECREF(data);
    Py_DECREF(address);
    return pair;
}

/* How much of `data` went to the address in `last`, -1 if the kernel has no room, -2 with an error set. */
static Py_ssize_t cede_send_to(int fd, PyObject *data, PyObject *last) {
    cede_address *to;
    Py_ssize_t count;
    if (!cede_is_memory(last)) return -2;
    to = (cede_address *)PyByteArray_AS_STRING(last);
    count = sendto(fd, PyBytes_AS_STRING(data), PyBytes_GET_SIZE(data), MSG_DONTWAIT | CEDE_NOSIGNAL,
                   (struct sockaddr *)&to->name, to->size);
    if (count >= 0 || cede_would_block()) return count;
    PyErr_SetFromErrno(PyExc_OSError);
    return -2;
}

/* As accept. Children do not inherit it. BSD's are as non-blocking as the listener: who accepts them says what they
   are. */
static int cede_accept_raw(int fd, cede_address *from) {
#ifdef SOCK_CLOEXEC
    return accept4(fd, (struct sockaddr *)&from->name, &from->size, SOCK_CLOEXEC);
#else
    int accepted = accept(fd, (struct sockaddr *)&from->name, &from->size);
    if (accepted >= 0) fcntl(accepted, F_SETFD, FD_CLOEXEC);
    return accepted;
#endif
}

/* (descriptor, address), None if nobody is waiting, NULL with an error set. */
static PyObject *cede_accept(int fd) {
    cede_address from;
    PyObject *address, *number, *pair;
    int accepted;
    from.size = sizeof(from.name);
    accepted = cede_accept_raw(fd, &from);
    if (accepted < 0) {
        if (cede_would_block()) Py_RETURN_NONE;
        return PyErr_SetFromErrno(PyExc_OSError);
    }
    address = cede_address_tuple(&from);
    number = address ? PyLong_FromLong(accepted) : NULL;
    pair = number ? PyTuple_Pack(2, number, address) : NULL;
    Py_XDECREF(address);
    Py_XDECREF(number);
    if (pair == NULL) close(accepted);
    return pair;
}

#endif
