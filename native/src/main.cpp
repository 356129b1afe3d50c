// The native media worker: imsdc's engine client starts it with two stream sockets as descriptors 3 and 4.
#include <fcntl.h>
#include <sys/resource.h>

#include <csignal>
#include <cstdio>

#include "worker.h"

namespace {

/** A socket per association: the soft limit of a shell (1,024) is far too low, the hard one is ours to use. */
void raiseDescriptorLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

}  // namespace

int main() {
  using namespace imsdc;
  if (fcntl(protocol::kControlDescriptor, F_GETFD) < 0 || fcntl(protocol::kPayloadDescriptor, F_GETFD) < 0) {
    std::fputs("imsdc-media-worker is started by `imsdc mf`: descriptors 3 and 4 have to be its sockets\n", stderr);
    return 64;
  }
  raiseDescriptorLimit();
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGINT, SIG_IGN);  // Ctrl-C in a terminal reaches the whole group: the MF decides
  Loop loop;
  Worker worker(loop, UniqueFd(protocol::kControlDescriptor), UniqueFd(protocol::kPayloadDescriptor));
  loop.run();
  return worker.exitCode();
}
