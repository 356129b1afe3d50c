// Closed-loop UDP load for forwarders: sends from one socket, receives on another, never more than WINDOW on the way.
// It sends datagram by datagram, as UEs do, unless told otherwise; it takes trains of them (UDP_GRO), as a network card that segments would.
//
//   imsdc-udp-load FIRST_OCTET BYTES WINDOW SECONDS     prints "A_PORT B_PORT", reads "TO_PORT" from standard input,
//                                                       then prints one line of JSON: received, lost, seconds,
//                                                       cpuSeconds (what the kernel does for the datagrams included)
//   WINDOW: NUMBER, refilled as datagrams arrive; trains:NUMBER, the same, but sent in trains (UDP_SEGMENT), so that the
//   core of the sender does not limit what passes; burst:NUMBER, refilled when all have arrived (rtpengine gives a
//   stream up that still has datagrams after fifty in one go)
//   ... A_NAMESPACE A_ADDRESS B_NAMESPACE B_ADDRESS TO_ADDRESS     the same between network namespaces (/run/netns)
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "../src/unique_fd.h"

namespace {

using Clock = std::chrono::steady_clock;
constexpr std::size_t kBatch = 64;
constexpr std::size_t kMaxTrainBytes = 60'000;
constexpr int kBufferBytes = 4 * 1024 * 1024;
constexpr auto kLossAfter = std::chrono::milliseconds(500);  // nothing arrives for so long: what is missing is lost

/** A socket stays in the namespace that it was made in. */
void enter(const char* space) {
  const imsdc::UniqueFd descriptor(open((std::string("/run/netns/") + space).c_str(), O_RDONLY | O_CLOEXEC));
  if (setns(descriptor.get(), CLONE_NEWNET) != 0) std::exit(1);
}

in_addr parsed(const char* text) {
  in_addr address{};
  if (inet_pton(AF_INET, text, &address) != 1) std::exit(64);
  return address;
}

imsdc::UniqueFd bound(std::uint16_t& port, const char* local) {
  imsdc::UniqueFd descriptor(socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr = parsed(local);
  socklen_t length = sizeof address;
  setsockopt(descriptor.get(), SOL_SOCKET, SO_RCVBUF, &kBufferBytes, sizeof kBufferBytes);
  setsockopt(descriptor.get(), SOL_SOCKET, SO_SNDBUF, &kBufferBytes, sizeof kBufferBytes);
  if (bind(descriptor.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) std::exit(1);
  getsockname(descriptor.get(), reinterpret_cast<sockaddr*>(&address), &length);
  port = ntohs(address.sin_port);
  return descriptor;
}

struct Messages {
  explicit Messages(std::size_t bytes, std::uint8_t fill) : storage(kBatch, std::vector<std::uint8_t>(bytes, fill)) {
    for (std::size_t index = 0; index < kBatch; ++index) {
      vectors[index] = {storage[index].data(), storage[index].size()};
      headers[index].msg_hdr.msg_iov = &vectors[index];
      headers[index].msg_hdr.msg_iovlen = 1;
    }
  }
  std::vector<std::vector<std::uint8_t>> storage;
  std::array<iovec, kBatch> vectors{};
  std::array<mmsghdr, kBatch> headers{};
};

/** One message of `count` datagrams, equal but for their content; -1 as sendmsg. */
int sendTrain(int descriptor, std::vector<std::uint8_t>& train, std::size_t bytes, std::size_t count) {
  iovec vector{train.data(), bytes * count};
  std::array<char, CMSG_SPACE(sizeof(std::uint16_t))> control{};
  msghdr header{};
  header.msg_iov = &vector;
  header.msg_iovlen = 1;
  header.msg_control = control.data();
  header.msg_controllen = control.size();
  cmsghdr* segment = CMSG_FIRSTHDR(&header);
  segment->cmsg_level = SOL_UDP;
  segment->cmsg_type = UDP_SEGMENT;
  segment->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
  const auto size = static_cast<std::uint16_t>(bytes);
  std::memcpy(CMSG_DATA(segment), &size, sizeof size);
  return sendmsg(descriptor, &header, 0) > 0 ? static_cast<int>(count) : -1;
}

/** How many datagrams of `bytes` octets have arrived at once; some of them in trains. */
std::uint64_t receive(int descriptor, Messages& in, std::size_t bytes) {
  const int count = recvmmsg(descriptor, in.headers.data(), kBatch, MSG_DONTWAIT, nullptr);
  std::uint64_t datagrams = 0;
  for (int index = 0; index < count; ++index) datagrams += in.headers[static_cast<std::size_t>(index)].msg_len / bytes;
  return datagrams;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 5 && argc != 10) return 64;
  const bool spaces = argc == 10;
  const auto first = static_cast<std::uint8_t>(std::atoi(argv[1]));
  const auto bytes = static_cast<std::size_t>(std::atoi(argv[2]));
  const std::string_view windowText = argv[3];
  const bool burst = windowText.starts_with("burst:");
  const bool trains = windowText.starts_with("trains:");
  const auto window = static_cast<std::uint64_t>(std::atoi(argv[3] + (burst ? 6 : trains ? 7 : 0)));
  const auto duration = std::chrono::duration<double>(std::atof(argv[4]));
  std::uint16_t portA = 0;
  std::uint16_t portB = 0;
  if (spaces) enter(argv[5]);
  const imsdc::UniqueFd a = bound(portA, spaces ? argv[6] : "127.0.0.1");
  if (spaces) enter(argv[7]);
  const imsdc::UniqueFd b = bound(portB, spaces ? argv[8] : "127.0.0.1");
  std::printf("%u %u\n", portA, portB);
  std::fflush(stdout);
  unsigned int to = 0;
  if (std::scanf("%u", &to) != 1) return 65;
  sockaddr_in target{};
  target.sin_family = AF_INET;
  target.sin_addr = parsed(spaces ? argv[9] : "127.0.0.1");
  target.sin_port = htons(static_cast<std::uint16_t>(to));
  if (connect(a.get(), reinterpret_cast<sockaddr*>(&target), sizeof target) != 0) return 1;

  Messages out(bytes, 0);
  for (auto& one : out.storage) one[0] = first;
  std::vector<std::uint8_t> train(bytes * kBatch, 0);
  for (std::size_t at = 0; at < train.size(); at += bytes) train[at] = first;
  const int on = 1;
  setsockopt(b.get(), SOL_UDP, UDP_GRO, &on, sizeof on);
  Messages in(65'536, 0);
  std::uint64_t sent = 0;
  std::uint64_t received = 0;
  std::uint64_t lost = 0;
  const auto started = Clock::now();
  auto heard = started;
  while (Clock::now() - started < duration) {
    const std::uint64_t flying = sent - received - lost;
    if (burst ? flying == 0 : flying < window) {
      const std::uint64_t most = trains ? std::min<std::uint64_t>(kBatch, kMaxTrainBytes / bytes) : kBatch;
      const auto count = static_cast<unsigned int>(std::min<std::uint64_t>(window - flying, most));
      // RTP's sequence number: rtpengine drops what it has seen.
      for (std::uint64_t index = 0; index < count && bytes > 3; ++index) {
        out.storage[index][2] = static_cast<std::uint8_t>((sent + index) >> 8);
        out.storage[index][3] = static_cast<std::uint8_t>(sent + index);
      }
      const int result = trains ? sendTrain(a.get(), train, bytes, count) : sendmmsg(a.get(), out.headers.data(), count, 0);
      if (result > 0) sent += static_cast<std::uint64_t>(result);
    }
    const std::uint64_t arrived = receive(b.get(), in, bytes);
    if (arrived > 0) {
      received += arrived;
      heard = Clock::now();
    } else if (burst || sent - received - lost >= window) {
      pollfd waiting{b.get(), POLLIN, 0};
      poll(&waiting, 1, 1);
      if (Clock::now() - heard > kLossAfter) {
        lost = sent - received;
        heard = Clock::now();
      }
    }
  }
  const double seconds = std::chrono::duration<double>(Clock::now() - started).count();
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto whole = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec);
  const double cpuSeconds = whole + static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
  std::printf("{\"received\":%llu,\"lost\":%llu,\"seconds\":%.3f,\"cpuSeconds\":%.3f}\n",
              static_cast<unsigned long long>(received), static_cast<unsigned long long>(lost), seconds, cpuSeconds);
  return 0;
}
