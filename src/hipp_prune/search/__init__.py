"""The search that trains the policy, its archive, and the planner it leaves behind."""
