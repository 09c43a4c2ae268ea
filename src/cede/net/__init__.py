"""The network: coroutines that build the transports of `cede.io`. Each takes the loop as its first argument.

Lowest first, which is also the order of imports:

  awaiting     run coroutines side by side, wait for one turn: the little that this layer needs of a library
  staggered    start one attempt after another, take the first that succeeds
  executor     functions run in threads
  resolve      names to addresses
  sockets      `sock_recv` and its sisters: plain sockets, awaited
  start_tls    TLS on a socket, or on a transport that is already there
  connect      `create_connection`, `create_unix_connection`
  serve        `Server`, `create_server`, `create_unix_server`
  datagram     `create_datagram_endpoint`
  sendfile     a file to a transport
  pipes        `connect_read_pipe`, `connect_write_pipe`
  signals      `add_signal_handler`
  children     subprocesses

Law: nothing here is compiled and nothing here is hot: what moves bytes stands in `cede.io`, one layer
below. The functions become methods of `EventLoop` as they stand, so `loop` is their `self`.
"""
