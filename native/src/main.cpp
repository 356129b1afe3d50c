// The native media worker: imsdc's engine client starts it with two stream sockets as descriptors 3 and 4.
#include <fcntl.h>

#include <csignal>
#include <cstdio>

#include "worker.h"

int main() {
  using namespace imsdc;
  if (fcntl(protocol::kControlDescriptor, F_GETFD) < 0 || fcntl(protocol::kPayloadDescriptor, F_GETFD) < 0) {
    std::fputs("imsdc-media-worker is started by `imsdc mf`: descriptors 3 and 4 have to be its sockets\n", stderr);
    return 64;
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGINT, SIG_IGN);  // Ctrl-C in a terminal reaches the whole group: the MF decides
  Loop loop;
  Worker worker(loop, UniqueFd(protocol::kControlDescriptor), UniqueFd(protocol::kPayloadDescriptor));
  loop.run();
  return worker.exitCode();
}
