-- The question that is live for a binding.

return answer({ live() })
