#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "loop.h"
#include "net_address.h"

namespace imsdc {

/** Who reads a UdpSocket. The datagram may be overwritten in place. */
class DatagramReader {
 public:
  virtual void onDatagram(std::span<std::uint8_t> datagram, const NetAddress& from) = 0;

 protected:
  ~DatagramReader() = default;
};

/** Whose datagrams a socket takes: those that are forwarded as they are may wait for each other (ReadModeration). */
enum class SocketUse { association, forwarding };

/**
 * A bound UDP socket. Reads with recvmmsg and generic receive offload; what is sent is gathered until the end of the
 * loop's turn and then leaves with sendmmsg and generic segmentation offload: a system call for up to 64 datagrams.
 */
class UdpSocket final : public IoHandler {
 public:
  /** Nothing when the address cannot be bound; errno tells why. */
  static std::unique_ptr<UdpSocket> bind(Loop& loop, const NetAddress& local, DatagramReader& reader,
                                         SocketUse use = SocketUse::association);
  ~UdpSocket();
  UdpSocket(const UdpSocket&) = delete;
  UdpSocket& operator=(const UdpSocket&) = delete;

  [[nodiscard]] NetAddress local() const { return local_; }
  /** Copies. Lost, like any datagram, when the kernel has no room: `refused` counts. */
  void send(std::span<const std::uint8_t> datagram, const NetAddress& to);
  /** Sends everything that any socket has gathered. */
  static void flushAll();
  [[nodiscard]] std::uint64_t refused() const { return refused_; }

  void onReadable() override;

 private:
  friend class SendBatch;
  UdpSocket(Loop& loop, UniqueFd descriptor, const NetAddress& local, DatagramReader& reader, SocketUse use);

  Loop& loop_;
  UniqueFd descriptor_;
  NetAddress local_;
  DatagramReader* reader_;
  SocketUse use_;
  std::uint64_t refused_ = 0;
  bool segmentation_ = true;
  std::uint32_t firstPending_ = 0;  // 1-based index into the batch; 0: none
  std::uint32_t lastPending_ = 0;
};

}  // namespace imsdc
