#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "loop.h"
#include "worker_protocol.h"

namespace imsdc {

/** One of the two stream sockets to the engine: length-prefixed frames in both directions, never blocking. */
class FrameSocket final : public IoHandler {
 public:
  using OnFrame = std::function<void(const protocol::FrameHeader& header, std::span<const std::uint8_t> body)>;
  using OnEnd = std::function<void(const char* reason)>;

  /** `maxLength`: largest value of the length field; a larger one ends the connection before anything is allocated. */
  FrameSocket(Loop& loop, UniqueFd descriptor, std::size_t maxLength, OnFrame onFrame, OnEnd onEnd);
  ~FrameSocket();
  FrameSocket(const FrameSocket&) = delete;
  FrameSocket& operator=(const FrameSocket&) = delete;

  /** Appends to what leaves at the end of the turn. */
  template <typename Body>
  void send(const protocol::FrameHeader& header, const Body& body) {
    protocol::appendFrame(out_, header, body);
  }
  void flush();
  /** Bytes that the engine has not taken yet. */
  [[nodiscard]] std::size_t waiting() const { return out_.size() - written_; }

  void onReadable() override;
  void onWritable() override { flush(); }

 private:
  bool takeFrames();

  Loop& loop_;
  UniqueFd descriptor_;
  std::size_t maxLength_;
  OnFrame onFrame_;
  OnEnd onEnd_;
  std::vector<std::uint8_t> in_;
  std::vector<std::uint8_t> out_;
  std::size_t written_ = 0;
  bool wantsWrite_ = false;
};

}  // namespace imsdc
