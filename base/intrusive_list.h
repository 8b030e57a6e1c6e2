// A doubly linked list whose nodes are base classes: no allocation, O(1) unlink, and a node leaves when it is
// destroyed.
#pragma once

#include <cstddef>

namespace wayport {

template <class T>
class List;

// Derive T from ListNode<T>. Not copyable, not movable: the list holds its address.
template <class T>
class ListNode {
 public:
  ListNode() noexcept = default;
  ListNode(const ListNode&) = delete;
  ListNode& operator=(const ListNode&) = delete;
  ~ListNode() { unlink(); }

  bool linked() const noexcept { return next_ != nullptr; }
  void unlink() noexcept {
    if (!next_) return;
    next_->previous_ = previous_;
    previous_->next_ = next_;
    next_ = previous_ = nullptr;
  }

 private:
  friend class List<T>;
  ListNode* next_ = nullptr;
  ListNode* previous_ = nullptr;
};

// Owns nothing. Destroying a non-empty list unlinks its nodes.
template <class T>
class List {
 public:
  List() noexcept { end_.next_ = end_.previous_ = &end_; }
  List(const List&) = delete;
  List& operator=(const List&) = delete;
  ~List() { clear(); }

  bool empty() const noexcept { return end_.next_ == &end_; }
  T& front() noexcept { return static_cast<T&>(*end_.next_); }  // REQUIRES: !empty()
  // A node that is in any list of this kind moves here.
  void push_back(T& value) noexcept {
    ListNode<T>& node = value;
    node.unlink();
    node.previous_ = end_.previous_;
    node.next_ = &end_;
    end_.previous_->next_ = &node;
    end_.previous_ = &node;
  }
  T* pop_front() noexcept {
    if (empty()) return nullptr;
    T& first = front();
    static_cast<ListNode<T>&>(first).unlink();
    return &first;
  }
  // Moves every node of `other` to the end; O(1).
  void splice_back(List& other) noexcept {
    if (other.empty()) return;
    other.end_.next_->previous_ = end_.previous_;
    end_.previous_->next_ = other.end_.next_;
    other.end_.previous_->next_ = &end_;
    end_.previous_ = other.end_.previous_;
    other.end_.next_ = other.end_.previous_ = &other.end_;
  }
  void clear() noexcept {
    while (pop_front()) {
    }
  }
  // Visits in order; `visit` may unlink (or destroy) the node it is given, no other.
  template <class F>
  void for_each(F&& visit) {
    for (ListNode<T>* node = end_.next_; node != &end_;) {
      ListNode<T>* next = node->next_;
      visit(static_cast<T&>(*node));
      node = next;
    }
  }

 private:
  ListNode<T> end_;
};

}  // namespace wayport
