#include "udp_socket.h"

#include <netinet/udp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#ifndef UDP_SEGMENT
#define UDP_SEGMENT 103
#endif
#ifndef UDP_GRO
#define UDP_GRO 104
#endif

namespace imsdc {
namespace {

constexpr std::size_t kReceiveBatch = 32;
constexpr std::size_t kReceiveBytes = 65'536;  // one coalesced train of datagrams
constexpr int kBatchesPerTurn = 4;             // then the other sockets have their turn
constexpr int kKernelBufferBytes = 2 * 1024 * 1024;
constexpr std::size_t kMaxPending = 512;
constexpr std::size_t kMaxDatagram = 2048;
constexpr std::size_t kMaxSegments = 64;
constexpr std::size_t kMaxTrainBytes = 65'000;
constexpr std::size_t kMessagesPerCall = 64;

/** Receive buffers, one set per process: a datagram is dealt with before the next is read. */
struct ReceiveArena {
  std::vector<std::uint8_t> bytes = std::vector<std::uint8_t>(kReceiveBatch * kReceiveBytes);
  std::array<mmsghdr, kReceiveBatch> headers{};
  std::array<iovec, kReceiveBatch> vectors{};
  std::array<sockaddr_in6, kReceiveBatch> sources{};
  std::array<std::array<char, CMSG_SPACE(sizeof(int))>, kReceiveBatch> controls{};

  void prepare() {
    for (std::size_t index = 0; index < kReceiveBatch; ++index) {
      vectors[index] = {bytes.data() + index * kReceiveBytes, kReceiveBytes};
      msghdr& header = headers[index].msg_hdr;
      header = {};
      header.msg_name = &sources[index];
      header.msg_namelen = sizeof sources[index];
      header.msg_iov = &vectors[index];
      header.msg_iovlen = 1;
      header.msg_control = controls[index].data();
      header.msg_controllen = controls[index].size();
    }
  }
};

ReceiveArena& receiveArena() {
  static ReceiveArena arena;
  return arena;
}

/** Size of the datagrams that the kernel has coalesced into one buffer; 0: it is a single one. */
std::size_t segmentBytes(msghdr& header) {
  for (cmsghdr* control = CMSG_FIRSTHDR(&header); control != nullptr; control = CMSG_NXTHDR(&header, control)) {
    if (control->cmsg_level != SOL_UDP || control->cmsg_type != UDP_GRO) continue;
    int size = 0;
    std::memcpy(&size, CMSG_DATA(control), sizeof size);
    return size > 0 ? static_cast<std::size_t>(size) : 0;
  }
  return 0;
}

}  // namespace

/** Datagrams of all sockets that wait for the end of the turn. */
class SendBatch {
 public:
  void add(UdpSocket& socket, std::span<const std::uint8_t> datagram, const NetAddress& to) {
    if (pending_.size() == kMaxPending) flush();
    const std::size_t offset = pending_.size() * kMaxDatagram;
    std::copy(datagram.begin(), datagram.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
    pending_.push_back({to, static_cast<std::uint32_t>(datagram.size()), 0});
    const auto number = static_cast<std::uint32_t>(pending_.size());
    if (socket.firstPending_ == 0) {
      socket.firstPending_ = number;
      sockets_.push_back(&socket);
    } else {
      pending_[socket.lastPending_ - 1].next = number;
    }
    socket.lastPending_ = number;
  }

  void flush() {
    for (UdpSocket* socket : sockets_) {
      sendAll(*socket);
      socket->firstPending_ = 0;
      socket->lastPending_ = 0;
    }
    sockets_.clear();
    pending_.clear();
  }

 private:
  struct Pending {
    NetAddress to;
    std::uint32_t size;
    std::uint32_t next;  // of the same socket, 1-based
  };

  iovec vectorOf(std::uint32_t number) {
    return {bytes_.data() + std::size_t{number - 1} * kMaxDatagram, pending_[number - 1].size};
  }

  /** One message from as many datagrams of equal size and destination as go into a train; the last may be shorter. */
  std::uint32_t buildTrain(std::uint32_t number, bool segmentation, std::size_t slot) {
    const Pending& first = pending_[number - 1];
    const std::size_t vectorStart = vectorCount_;
    std::size_t total = 0;
    std::size_t segments = 0;
    while (number != 0) {
      const Pending& entry = pending_[number - 1];
      if (segments > 0 && (!segmentation || segments == kMaxSegments || entry.size > first.size ||
                           total + entry.size > kMaxTrainBytes || !(entry.to == first.to))) {
        break;
      }
      vectors_[vectorCount_++] = vectorOf(number);
      total += entry.size;
      ++segments;
      const bool shorter = entry.size < first.size;
      number = entry.next;
      if (shorter) break;
    }
    msghdr& header = headers_[slot].msg_hdr;
    header = {};
    header.msg_name = const_cast<sockaddr*>(first.to.get());
    header.msg_namelen = first.to.length();
    header.msg_iov = &vectors_[vectorStart];
    header.msg_iovlen = segments;
    if (segments > 1) {
      header.msg_control = controls_[slot].data();
      header.msg_controllen = controls_[slot].size();
      cmsghdr* control = CMSG_FIRSTHDR(&header);
      control->cmsg_level = SOL_UDP;
      control->cmsg_type = UDP_SEGMENT;
      control->cmsg_len = CMSG_LEN(sizeof(std::uint16_t));
      const auto size = static_cast<std::uint16_t>(first.size);
      std::memcpy(CMSG_DATA(control), &size, sizeof size);
    }
    return number;
  }

  void sendAll(UdpSocket& socket) {
    std::uint32_t number = socket.firstPending_;
    while (number != 0) {
      const std::uint32_t start = number;
      vectorCount_ = 0;
      std::size_t messages = 0;
      while (number != 0 && messages < kMessagesPerCall) number = buildTrain(number, socket.segmentation_, messages++);
      std::size_t sent = 0;
      while (sent < messages) {
        const int result = sendmmsg(socket.descriptor_.get(), headers_.data() + sent,
                                    static_cast<unsigned int>(messages - sent), MSG_DONTWAIT);
        if (result > 0) {
          sent += static_cast<std::size_t>(result);
        } else if (errno == EINTR) {
          continue;
        } else if (socket.segmentation_ && (errno == EIO || errno == EINVAL) && sent == 0) {
          socket.segmentation_ = false;  // a device without checksum offload: one by one from now on
          number = start;
          break;
        } else {
          // ICMP errors of earlier datagrams surface here once; a full buffer is a lost datagram.
          ++socket.refused_;
          ++sent;
        }
      }
    }
  }

  std::vector<std::uint8_t> bytes_ = std::vector<std::uint8_t>(kMaxPending * kMaxDatagram);
  std::vector<Pending> pending_;
  std::vector<UdpSocket*> sockets_;
  std::array<mmsghdr, kMessagesPerCall> headers_{};
  std::array<iovec, kMaxPending> vectors_{};
  std::array<std::array<char, CMSG_SPACE(sizeof(std::uint16_t))>, kMessagesPerCall> controls_{};
  std::size_t vectorCount_ = 0;
};

namespace {
SendBatch& sendBatch() {
  static SendBatch batch;
  return batch;
}
}  // namespace

std::unique_ptr<UdpSocket> UdpSocket::bind(Loop& loop, const NetAddress& local, DatagramReader& reader, SocketUse use) {
  UniqueFd descriptor(::socket(local.family(), SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (!descriptor.valid()) return nullptr;
  const int on = 1;
  if (local.family() == AF_INET6) setsockopt(descriptor.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  setsockopt(descriptor.get(), SOL_SOCKET, SO_RCVBUF, &kKernelBufferBytes, sizeof kKernelBufferBytes);
  setsockopt(descriptor.get(), SOL_SOCKET, SO_SNDBUF, &kKernelBufferBytes, sizeof kKernelBufferBytes);
  setsockopt(descriptor.get(), SOL_UDP, UDP_GRO, &on, sizeof on);  // an old kernel refuses: then one by one
  if (::bind(descriptor.get(), local.get(), local.length()) != 0) return nullptr;
  sockaddr_in6 bound{};
  socklen_t length = sizeof bound;
  if (getsockname(descriptor.get(), reinterpret_cast<sockaddr*>(&bound), &length) != 0) return nullptr;
  const NetAddress address = NetAddress::from(reinterpret_cast<const sockaddr*>(&bound));
  return std::unique_ptr<UdpSocket>(new UdpSocket(loop, std::move(descriptor), address, reader, use));
}

UdpSocket::UdpSocket(Loop& loop, UniqueFd descriptor, const NetAddress& local, DatagramReader& reader, SocketUse use)
    : loop_(loop), descriptor_(std::move(descriptor)), local_(local), reader_(&reader), use_(use) {
  loop_.add(descriptor_.get(), *this);
}

UdpSocket::~UdpSocket() {
  if (firstPending_ != 0) flushAll();
  loop_.remove(descriptor_.get(), *this);
}

void UdpSocket::send(std::span<const std::uint8_t> datagram, const NetAddress& to) {
  if (datagram.size() > kMaxDatagram) {
    ++refused_;
    return;
  }
  sendBatch().add(*this, datagram, to);
}

void UdpSocket::flushAll() { sendBatch().flush(); }

void UdpSocket::onReadable() {
  ReceiveArena& arena = receiveArena();
  for (int batch = 0; batch < kBatchesPerTurn; ++batch) {
    arena.prepare();
    const int count = recvmmsg(descriptor_.get(), arena.headers.data(), kReceiveBatch, MSG_DONTWAIT, nullptr);
    if (count <= 0) return;  // nothing more, or an ICMP error, which the sender's timers deal with
    const bool more = static_cast<std::size_t>(count) == kReceiveBatch;
    if (use_ == SocketUse::forwarding) loop_.countForwardedReads(static_cast<std::uint32_t>(count), more);
    for (std::size_t index = 0; index < static_cast<std::size_t>(count); ++index) {
      mmsghdr& message = arena.headers[index];
      std::span<std::uint8_t> bytes{arena.bytes.data() + index * kReceiveBytes, message.msg_len};
      const std::size_t segment = segmentBytes(message.msg_hdr);
      const NetAddress from = NetAddress::from(reinterpret_cast<const sockaddr*>(&arena.sources[index]));
      do {
        const std::size_t size = segment == 0 ? bytes.size() : std::min(segment, bytes.size());
        reader_->onDatagram(bytes.first(size), from);
        bytes = bytes.subspan(size);
      } while (!bytes.empty());
    }
    if (!more) return;
  }
}

}  // namespace imsdc
