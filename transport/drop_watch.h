// How a member function that calls back learns that the callback destroyed its object: streams may be dropped from
// inside any of their callbacks.
//
//   DropWatch watch(*this);          // this is a DropWatched
//   events_->on_writable();
//   if (watch.dropped()) return;     // `this` is gone
//
// One pointer per object; watches nest as the calls do. Not thread-safe.
#pragma once

namespace wayport::transport {

class DropWatched {
 public:
  DropWatched() noexcept = default;
  DropWatched(const DropWatched&) = delete;
  DropWatched& operator=(const DropWatched&) = delete;

 protected:
  ~DropWatched();

 private:
  friend class DropWatch;
  class DropWatch* innermost_ = nullptr;
};

class DropWatch {
 public:
  explicit DropWatch(DropWatched& object) noexcept : object_(&object), outer_(object.innermost_) {
    object.innermost_ = this;
  }
  DropWatch(const DropWatch&) = delete;
  DropWatch& operator=(const DropWatch&) = delete;
  ~DropWatch() {
    if (object_) object_->innermost_ = outer_;
  }

  bool dropped() const noexcept { return object_ == nullptr; }

 private:
  friend class DropWatched;
  DropWatched* object_;
  DropWatch* outer_;
};

inline DropWatched::~DropWatched() {
  for (DropWatch* watch = innermost_; watch; watch = watch->outer_) watch->object_ = nullptr;
}

}  // namespace wayport::transport
