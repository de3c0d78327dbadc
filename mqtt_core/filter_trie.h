// SPDX-License-Identifier: GPL-3.0-or-later

// Finds the topic filters that match a topic name (MQTT 3.1.1 section 4.7) at
// a cost that depends on the levels of the topic and the number of matches,
// not on the number of filters.
//
// Not thread-safe: belongs to one thread at a time.
#ifndef MQTT_CORE_FILTER_TRIE_H_
#define MQTT_CORE_FILTER_TRIE_H_

#include <algorithm>
#include <cstdint>
#include <deque>
#include <string>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/container/inlined_vector.h"
#include "absl/strings/string_view.h"
#include "mqtt_core/topic.h"

namespace kamailio_mqtt {

// Each filter carries values, which Match hands out. Filters are expected to
// be valid; of a shared subscription, only the inner filter counts.
//
// A filter may have tens of thousands of levels, so that nothing here recurses
// and nodes live in one container, where they refer to each other by index.
template <typename Value>
class FilterTrie {
 public:
  FilterTrie() { nodes_.emplace_back(); }

  // Adds `value` to the values of `filter`.
  void Insert(absl::string_view filter, Value value) {
    NodeIndex index = kRoot;
    TopicLevels levels(WithoutShare(filter));
    absl::string_view level;
    while (levels.Next(&level)) {
      if (level == "#") {
        nodes_[index].subtree_values.push_back(std::move(value));
        return;
      }
      index = FindOrAddChild(index, level);
    }
    nodes_[index].values.push_back(std::move(value));
  }

  // Takes one `value` away from those of `filter`. No effect if there is none.
  void Erase(absl::string_view filter, const Value& value) {
    std::vector<std::pair<NodeIndex, absl::string_view>> path;
    NodeIndex index = kRoot;
    TopicLevels levels(WithoutShare(filter));
    absl::string_view level;
    bool subtree = false;
    while (levels.Next(&level)) {
      if (level == "#") {
        subtree = true;
        break;
      }
      path.emplace_back(index, level);
      index = FindChild(nodes_[index], level);
      if (index == kNone) return;
    }
    std::vector<Value>& values =
        subtree ? nodes_[index].subtree_values : nodes_[index].values;
    const auto found = std::find(values.begin(), values.end(), value);
    if (found == values.end()) return;
    values.erase(found);
    for (; !path.empty() && nodes_[index].IsEmpty(); path.pop_back()) {
      FreeNode(index);
      index = path.back().first;
      RemoveChild(&nodes_[index], path.back().second);
    }
  }

  // Calls `visit` with each value of each filter that matches `topic`, in no
  // particular order. `visit` must not change the trie.
  template <typename Visitor>
  void Match(absl::string_view topic, Visitor visit) const {
    if (topic.empty()) return;
    absl::InlinedVector<NodeIndex, 16> reached = {kRoot};
    absl::InlinedVector<NodeIndex, 16> next;
    bool wildcards = !IsHiddenFromWildcards(topic);
    TopicLevels levels(topic);
    absl::string_view level;
    while (!reached.empty() && levels.Next(&level)) {
      next.clear();
      for (const NodeIndex index : reached) {
        const Node& node = nodes_[index];
        if (wildcards) {
          for (const Value& value : node.subtree_values) visit(value);
          if (node.plus != kNone) next.push_back(node.plus);
        }
        const auto child = node.children.find(level);
        if (child != node.children.end()) next.push_back(child->second);
      }
      wildcards = true;
      reached.swap(next);
    }
    for (const NodeIndex index : reached) {
      for (const Value& value : nodes_[index].values) visit(value);
      // "a/#" matches "a", too.
      for (const Value& value : nodes_[index].subtree_values) visit(value);
    }
  }

 private:
  using NodeIndex = uint32_t;
  static constexpr NodeIndex kRoot = 0;
  static constexpr NodeIndex kNone = 0;  // The root is nobody's child.

  // What filters have in common that begin with the same levels.
  struct Node {
    absl::flat_hash_map<std::string, NodeIndex> children;
    NodeIndex plus = kNone;             // The child for the wildcard '+'.
    std::vector<Value> values;          // Of the filter that ends here.
    std::vector<Value> subtree_values;  // Of that filter with '/#' appended.

    bool IsEmpty() const {
      return children.empty() && plus == kNone && values.empty() &&
             subtree_values.empty();
    }
  };

  static NodeIndex FindChild(const Node& node, absl::string_view level) {
    if (level == "+") return node.plus;
    const auto child = node.children.find(level);
    return child == node.children.end() ? kNone : child->second;
  }

  NodeIndex FindOrAddChild(NodeIndex parent, absl::string_view level) {
    const NodeIndex found = FindChild(nodes_[parent], level);
    if (found != kNone) return found;
    const NodeIndex added = AllocateNode();
    if (level == "+") {
      nodes_[parent].plus = added;
    } else {
      nodes_[parent].children.emplace(level, added);
    }
    return added;
  }

  static void RemoveChild(Node* node, absl::string_view level) {
    if (level == "+") {
      node->plus = kNone;
    } else {
      node->children.erase(level);
    }
  }

  NodeIndex AllocateNode() {
    if (free_.empty()) {
      nodes_.emplace_back();
      return static_cast<NodeIndex>(nodes_.size() - 1);
    }
    const NodeIndex index = free_.back();
    free_.pop_back();
    return index;
  }

  void FreeNode(NodeIndex index) {
    nodes_[index] = Node();
    free_.push_back(index);
  }

  std::deque<Node> nodes_;
  std::vector<NodeIndex> free_;  // Indexes into nodes_ that are not in use.
};

}  // namespace kamailio_mqtt

#endif  // MQTT_CORE_FILTER_TRIE_H_
